// Every truncation and every change of one byte of a tiny file, from a table that says what becomes of it
// (suite/mutations/README.md).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repaired } from "../generate/repair.mjs";
import { outcome } from "./compare.mjs";

const LEVEL = "canonical";
const BUDGET = 2 ** 29;

/** Cases of a table. A sample has every truncation, and one other value of each byte. */
export function mutationCases(root, id, path, { all, errors, exits }) {
  const table = JSON.parse(readFileSync(join(root, path), "utf8"));
  const base = readFileSync(join(root, table.file));
  const run = (what, bytes, name) => ({
    id: `${id}/${what}`,
    hex: Buffer.from(bytes).toString("hex"),
    level: LEVEL,
    budget: BUDGET,
    exits,
    expected: outcome(name, errors),
  });
  const changed = (at, value) => {
    const bytes = Uint8Array.from(base);
    bytes[at] = value;
    return bytes;
  };
  const values = (at) => (all ? others(base[at]) : [(base[at] + 1 + ((at * 37) % 255)) & 255]);
  const truncations = table.truncations.flatMap(([from, to, name]) =>
    range(from, to).map((length) => run(`length-${length}`, base.subarray(0, length), name)),
  );
  const bytes =
    base.length === 0 ? [] : range(0, base.length).flatMap((at) => values(at).map((value) => [at, value]));
  const plain = bytes.map(([at, value]) =>
    run(`byte-${at}-${value}`, changed(at, value), nameOf(table.bytes, at, value)),
  );
  const cases = [
    { id: `${id}/truncations`, runs: truncations },
    { id: `${id}/bytes`, runs: plain },
  ];
  if (table.repaired !== undefined) {
    const runs = bytes
      .filter(([at]) => nameOf(table.repaired, at, 0) !== undefined)
      .map(([at, value]) =>
        run(
          `repaired-${at}-${value}`,
          repaired(changed(at, value), table.layout),
          nameOf(table.repaired, at, value),
        ),
      );
    cases.push({ id: `${id}/repaired`, runs });
  }
  return cases.map((c) => ({ ...c, group: "mutations", features: [], operation: "read" }));
}

/**
 * A table of bytes: [from, to, name], or [from, to, [[least, name], …]]: the name of the values from `least` on. Later lines
 * win.
 */
export function nameOf(table, at, value) {
  const line = table.findLast(([from, to]) => from <= at && at < to);
  if (line === undefined || typeof line[2] === "string") return line?.[2];
  return line[2].findLast(([least]) => least <= value)[1];
}

const others = (byte) => range(0, 256).filter((value) => value !== byte);
const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);
