// Writes conformance/suite/ and conformance/coverage.md: node conformance/generate.mjs [--check]
// Everything follows from the specification, spec/*.json and this folder; the library is not used. `--check` writes nothing
// and fails if anything is not current.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { apply } from "./generate/apply.mjs";
import { atLimits } from "./generate/at-limits.mjs";
import { choices } from "./generate/choices.mjs";
import { coverage } from "./generate/coverage.mjs";
import { invalidChunks } from "./generate/invalid-chunks.mjs";
import { invalidDraft } from "./generate/invalid-draft.mjs";
import { invalidHead } from "./generate/invalid-head.mjs";
import { invalidMeta } from "./generate/invalid-meta.mjs";
import { invalidOrder } from "./generate/invalid-order.mjs";
import { invalidRecords } from "./generate/invalid-records.mjs";
import { invalidShared } from "./generate/invalid-shared.mjs";
import { invalidValues } from "./generate/invalid-values.mjs";
import { limits } from "./generate/limits.mjs";
import { mutations } from "./generate/mutations.mjs";
import { operations } from "./generate/operations.mjs";
import { parents } from "./generate/parents.mjs";
import { starts } from "./generate/starts.mjs";
import { outcomes, Suite } from "./generate/suite.mjs";
import { validAdapters } from "./generate/valid-adapters.mjs";
import { validCodecs } from "./generate/valid-codecs.mjs";
import { validModules } from "./generate/valid-modules.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "suite");
const check = process.argv.includes("--check");

const suite = new Suite();
for (const family of [
  validCodecs,
  validModules,
  validAdapters,
  invalidDraft,
  invalidHead,
  invalidShared,
  invalidRecords,
  invalidChunks,
  invalidValues,
  invalidMeta,
  invalidOrder,
  limits,
  starts,
  parents,
  atLimits,
  choices,
  operations,
  apply,
  mutations,
])
  family(suite);

const manifest = {
  $schema: "./manifest.schema.json",
  format: "lqa-conformance",
  version: 1,
  specification: "1.0",
  errors: outcomes(),
  mutations: suite.mutations,
  cases: suite.cases,
};
/** One case a line: a change of one case is a change of one line. */
const json = `${JSON.stringify({ ...manifest, cases: [] }, null, 2).slice(0, -4)}[\n${suite.cases.map((c) => JSON.stringify(c)).join(",\n")}\n]\n}\n`;

const { text, missing } = coverage(suite.cases);
const outputs = new Map([...suite.files].map(([path, bytes]) => [join(root, path), bytes]));
outputs.set(join(root, "manifest.json"), Buffer.from(json));
outputs.set(join(here, "coverage.md"), Buffer.from(text));

const KEPT = new Set([
  "README.md",
  "manifest.schema.json",
  ...suite.mutations.map(({ repaired }) => repaired),
]);
const present = existsSync(root)
  ? readdirSync(root, { recursive: true })
      .map((name) => join(root, name))
      .filter((path) => statSync(path).isFile() && !KEPT.has(path.slice(root.length + 1)))
  : [];
const stale = [...outputs]
  .filter(([path, bytes]) => !existsSync(path) || Buffer.compare(readFileSync(path), bytes) !== 0)
  .map(([path]) => path);
const extra = present.filter((path) => !outputs.has(path));
for (const line of missing) console.error(line);
if (missing.length > 0) process.exitCode = 1;
if (check) {
  for (const path of [...stale, ...extra]) console.error(`not current: ${path.slice(here.length)}`);
  if (stale.length + extra.length > 0) console.error("run: node conformance/generate.mjs");
  if (stale.length + extra.length > 0) process.exitCode = 1;
} else {
  for (const path of extra) rmSync(path);
  for (const path of stale) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, outputs.get(path));
  }
}
const bytes = [...outputs.values()].reduce((sum, b) => sum + b.length, 0);
console.log(`${suite.cases.length} cases, ${suite.files.size} files, ${bytes} bytes`);
