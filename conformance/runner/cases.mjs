// The suite as runs. A case is one or more runs: a broken file is read at the level that finds the fault, at the deepest
// one, and at the one before, at which it is valid (manifest.schema.json says so of `level`).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { outcome } from "./compare.mjs";
import { mutationCases } from "./mutations.mjs";
import { checkEvents, checkRanges } from "./operations.mjs";

export const LEVELS = ["structure", "integrity", "values", "canonical"];
export const DEFAULT_BUDGET = 2 ** 29;

/**
 * Cases whose id contains `filter`: [{ id, group, features, runs }]. `mutations` is none, sample or all; `prefix` stands before
 * each id.
 */
export function loadCases(root, { filter = "", mutations = "sample", prefix = "" } = {}) {
  const manifest = JSON.parse(readFileSync(join(root, "manifest.json"), "utf8"));
  const errors = new Map(manifest.errors.map((error) => [error.name, error]));
  const exits = new Map(manifest.errors.map(({ name, exit }) => [name, exit]));
  const cases = manifest.cases
    .map((c) => ({ ...c, id: prefix + c.id }))
    .filter(({ id }) => id.includes(filter))
    .map((c) => caseOf(root, c, { errors, exits }));
  if (mutations === "none") return cases;
  for (const about of manifest.mutations) {
    if (about.id.includes(filter))
      cases.push(...mutationCases(root, about, { all: mutations === "all", errors, exits }));
  }
  return cases;
}

function caseOf(root, c, { errors, exits }) {
  const { id, level, budget = DEFAULT_BUDGET, expected, accept, shallower, operation = "read" } = c;
  const path = join(root, c.file);
  const parents = c.parents?.map((file) => join(root, file));
  const run = { id, path, level, budget, expected, accept, exits, ...(parents && { parents }) };
  const group = id.startsWith("gold/") ? "gold" : id.split("/").slice(0, -1).slice(0, 2).join("/");
  const of = (runs) => ({ id, group, features: c.features, operation, runs });
  if (operation === "stream")
    return of(c.splits.map((pieces) => ({ ...run, operation, pieces, check: checkEvents(c.events) })));
  if (operation === "range") return of([{ ...run, operation, modules: c.modules, check: checkRanges(c) }]);
  if (operation === "apply") return of([{ ...run, operation, base: join(root, c.base) }]);
  const runs = [run];
  const depth = LEVELS.indexOf(level);
  if (!expected.valid) {
    if (depth < 3) runs.push({ ...run, level: "canonical" });
    if (depth > 0 && accept === undefined)
      runs.push({ ...run, level: LEVELS[depth - 1], expected: outcome(shallower, errors) });
  }
  return of(runs);
}
