// What the checks of padding and values (spec clauses 7.2, 8.1 and 8.3) cost in decoding, in one run: a 7B-shaped adapter of 224
// modules, with CRC-32, to f16 in a DecodeMemory (one thread, PEFT's layout), with the checks and without them. Run after
// `npm run build`:
//
//   node bench/values.mjs [--rounds N] [--before DIST]
//
// A row's time is the sum of the least times of each module in N rounds (20), the ways in turn. `--before`: the `dist` of another
// commit, whose time with its checks is measured in the same rounds. Exit code 1 if checks make decoding of one of the
// mixes of `bench/decode.mjs` slower by more than 5 %; of raw weights and short groups they do.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { openChunk, splitPayload } from "../dist/core/container/layout.js";
import { DecodeMemory, decodeModule, open } from "../dist/core/index.js";
import { chunkOf, moduleFactors, readerValues } from "../dist/core/read/chunks.js";
import { MIXES } from "./decode.mjs";
import { sevenB } from "./seven-b.mjs";

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "20" }, before: { type: "string" } },
});
const load = (path) => import(pathToFileURL(resolve(options.before, path)).href);
const FILES = ["core/index.js", "core/read/chunks.js", "core/read/values.js"];
const before =
  options.before === undefined ? undefined : Object.assign({}, ...(await Promise.all(FILES.map(load))));

const scale = "f16";
const f16 = { codec: "raw", element: "f16" };
const sign = { codec: "sign", group: 16, scale };
const MORE = {
  "sign, groups of 16": [[16, sign, sign]],
  "raw f16": [[16, f16, f16]],
};

let dear = false;
const rows = [];
for (const [name, mix] of Object.entries({ ...MIXES, ...MORE })) {
  const bytes = await sevenB(mix);
  const file = await open(bytes);
  const memory = new DecodeMemory();
  const how = { type: "f16", memory };
  const values = readerValues();
  const ways = {
    without: (module) => {
      const { offset, length } = module.chunk;
      const payload = openChunk(bytes.subarray(offset, offset + length), offset, module.name);
      decodeModule(module, splitPayload(module, module.bands, payload), how);
    },
    with: (module) => {
      const chunk = chunkOf(bytes, module);
      decodeModule(module, moduleFactors(chunk, module, values), how);
    },
  };
  if (before !== undefined) {
    const kept = { type: "f16", memory: new before.DecodeMemory() };
    const checks = before.readerValues();
    ways.before = (module) =>
      before.decodeModule(module, before.moduleFactors(chunkOf(bytes, module), module, checks), kept);
  }
  const least = new Map(Object.keys(ways).map((way) => [way, []]));
  for (let round = 0; round < Number(options.rounds); round++)
    for (const [i, module] of file.modules.entries())
      for (const [way, run] of Object.entries(ways)) {
        const start = performance.now();
        run(module);
        const times = least.get(way);
        times[i] = Math.min(times[i] ?? Number.POSITIVE_INFINITY, performance.now() - start);
      }
  const sum = (way) => least.get(way)?.reduce((all, time) => all + time, 0);
  const ratio = sum("with") / sum("without");
  dear ||= name in MIXES && ratio > 1.05;
  const old = before === undefined ? "" : ` ${(sum("before") / sum("without")).toFixed(3)} |`;
  rows.push(
    `| ${name} | ${sum("without").toFixed(1)} ms | ${sum("with").toFixed(1)} ms | ${ratio.toFixed(3)} |${old}`,
  );
}
console.log(`Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`);
console.log(`| adapter | without checks | with | ratio |${before === undefined ? "" : " before |"}`);
console.log(`| --- | --: | --: | --: |${before === undefined ? "" : " --: |"}`);
console.log(rows.join("\n"));
process.exitCode = dear ? 1 : 0;
