// Writes suite/mutations/*.repaired.json: every change of one byte of a tiny file, with its checksums repaired, and what two
// readers that were written independently of each other make of it. They have to agree, or nothing is written.
//
//   node conformance/classify.mjs [--first COMMAND] [--second COMMAND] [--filter TEXT]
//
// By default the library and the Python reader, by protocol B, and all files; or those whose id contains TEXT. The tables are data of the suite from then on: they are made
// again only when a file under suite/mutations/ or a rule of the specification changes.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { repaired } from "./generate/repair.mjs";
import { Lines } from "./runner/lines.mjs";
import { BUDGET, reparable } from "./runner/mutations.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values } = parseArgs({
  options: {
    first: { type: "string", default: `${process.execPath} ${here("adapters/lqa.mjs")} --lines` },
    filter: { type: "string", default: "" },
    second: { type: "string", default: `python3 ${here("readers/python/lqa_reader.py")} --lines` },
  },
});
const readers = [values.first, values.second].map(
  (command) => new Lines(command.split(" "), { timeout: 20000, startTimeout: 30000, cap: 2 ** 24 }),
);

const { mutations } = JSON.parse(readFileSync(here("suite/manifest.json"), "utf8"));
let disagreements = 0;
for (const { id, table: path, repaired: output } of mutations.filter(({ id }) =>
  id.includes(values.filter),
)) {
  const table = JSON.parse(readFileSync(here(`suite/${path}`), "utf8"));
  const base = readFileSync(here(`suite/${table.file}`));
  const names = [];
  const changes = [];
  for (const at of reparable(table)) {
    const runs = [];
    for (let value = 0; value < 256; value++) {
      if (value === base[at]) continue;
      const bytes = Uint8Array.from(base);
      bytes[at] = value;
      const run = {
        id,
        hex: Buffer.from(repaired(bytes, table.layout)).toString("hex"),
        level: "canonical",
        budget: BUDGET,
      };
      const [first, second] = (await Promise.all(readers.map((reader) => reader.run(run)))).map(nameOf);
      if (first !== second) {
        disagreements++;
        console.error(`${id}: byte ${at} = ${value}: ${first} and ${second}`);
      }
      if (!names.includes(first)) names.push(first);
      const name = names.indexOf(first);
      if (runs.at(-1)?.[1] !== name) runs.push([value, name]);
    }
    if (changes.at(-1) !== undefined && JSON.stringify(changes.at(-1)[2]) === JSON.stringify(runs))
      changes.at(-1)[1] = at + 1;
    else changes.push([at, at + 1, runs]);
  }
  const lines = changes.map((line) => ` ${JSON.stringify(line)}`).join(",\n");
  const text = `{"sha256":${JSON.stringify(table.sha256)},\n"names":${JSON.stringify(names)},\n"changes":[\n${lines}\n]}\n`;
  if (disagreements === 0) writeFileSync(here(`suite/${output}`), text);
  console.log(`${id}: ${changes.length} lines, ${names.length} outcomes`);
}
await Promise.all(readers.map((reader) => reader.stop()));
if (disagreements > 0) console.error(`${disagreements} disagreements; nothing more was written`);
process.exitCode = disagreements > 0 ? 1 : 0;

function nameOf({ document, crash, timeout, skipped }) {
  if (document === undefined) throw new Error(crash ?? timeout ?? skipped);
  return document.valid ? "valid" : document.error.name;
}
