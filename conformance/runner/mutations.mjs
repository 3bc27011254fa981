// Every truncation and every change of one byte of a tiny file, from tables that say what becomes of it
// (suite/README.md, "Mutations").
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repaired } from "../generate/repair.mjs";
import { outcome } from "./compare.mjs";

/**
 * What no chunk within Core needs, stored and raw: a reader that looks at chunks in pieces may accept one above a smaller budget
 * (14), and then has another first error. limits/budget has cases of budgets.
 */
export const BUDGET = 2 ** 31;

/** Cases of a table. A sample has every truncation, and one other value of each byte. */
export function mutationCases(root, { id, table: path, repaired: second }, { all, errors, exits }) {
  const table = JSON.parse(readFileSync(join(root, path), "utf8"));
  const base = readFileSync(join(root, table.file));
  const run = (what, bytes, name) => ({
    id: what,
    hex: Buffer.from(bytes).toString("hex"),
    level: table.level,
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
  const each = (places, make) => places.flatMap((at) => values(at).map((value) => make(at, value)));
  const truncations = table.truncations.flatMap(([from, to, name]) =>
    range(from, to).map((length) => run(`length ${length}`, base.subarray(0, length), name)),
  );
  const changes = each(range(0, base.length), (at, value) =>
    run(`byte ${at} = ${value}`, changed(at, value), nameOf(table.changes, at, value)),
  );
  const { names, changes: named } = JSON.parse(readFileSync(join(root, second), "utf8"));
  const fitting = each(reparable(table), (at, value) =>
    run(
      `repaired byte ${at} = ${value}`,
      repaired(changed(at, value), table.layout),
      names[nameOf(named, at, value)],
    ),
  );
  const cases = [
    { id: `${id}/truncations`, runs: truncations },
    { id: `${id}/changes`, runs: changes },
    { id: `${id}/repaired`, runs: fitting },
  ];
  return cases.map((c) => ({
    ...c,
    group: "mutations",
    features: ["zstd"].filter(() => id.endsWith("carried")),
    operation: "read",
  }));
}

/** Bytes whose change is still there when the checksums have been repaired. */
export function reparable({ layout: { indexLength, chunks, digests } }) {
  const crc = ([, end]) => range(end - 4, end);
  const mended = new Set([...range(56, 64), ...chunks.flatMap(crc)]);
  return [...range(8, 64 + indexLength), ...range(64 + indexLength, digests + 32)].filter(
    (at) => !mended.has(at),
  );
}

/**
 * A table of changes: [from, to, name], or [from, to, [[least, name], …]]: the name of the values from `least` on. Later
 * lines win.
 */
export function nameOf(table, at, value) {
  const line = table.findLast(([from, to]) => from <= at && at < to);
  return Array.isArray(line[2]) ? line[2].findLast(([least]) => least <= value)[1] : line[2];
}

const others = (byte) => range(0, 256).filter((value) => value !== byte);
const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);
