// What the verbs of an open file cost over the plain functions they stand on: all modules of a file in memory, decoded by
// `decodeAll`, one by one by `decode`, and by the synchronous functions, in turn. CPU time, least of N rounds. After `npm run build`:
//
//   node bench/verbs.mjs [--rounds N] [FILE…]
//
// Without files: the 7B-shaped adapter of `bench/seven-b.mjs`, 224 modules. Every way opens the file first and checks every chunk.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { DecodeMemory, decodeModule, open } from "../dist/core/index.js";
import { chunkOf, moduleFactors, readerValues } from "../dist/core/read/chunks.js";
import { MIXES } from "./decode.mjs";
import { sevenB } from "./seven-b.mjs";

const { values, positionals } = parseArgs({
  options: { rounds: { type: "string", default: "15" } },
  allowPositionals: true,
});
const files =
  positionals.length > 0
    ? positionals.map((path) => [path, new Uint8Array(readFileSync(path))])
    : [["7B, rd", await sevenB(MIXES.rd)]];

/** Decodes everything and returns the sum of some weights, which must not depend on the way. */
const WAYS = {
  async functions(bytes, how) {
    const file = await open(bytes);
    const checks = readerValues();
    let sum = 0;
    for (const module of file.modules)
      sum += decodeModule(module, moduleFactors(chunkOf(bytes, module), module, checks), how).b.data[0];
    return sum;
  },
  async decodeAll(bytes, how) {
    let sum = 0;
    for await (const { b } of (await open(bytes)).decodeAll(how)) sum += b.data[0];
    return sum;
  },
  async decode(bytes, how) {
    const file = await open(bytes);
    let sum = 0;
    for (const module of file.modules) sum += (await file.decode(module, how)).b.data[0];
    return sum;
  },
};

console.log("| file | arrays | way | CPU, ms |\n|---|---|---|---|");
for (const [name, bytes] of files)
  for (const [arrays, how] of [
    ["one memory", { memory: new DecodeMemory() }],
    ["new", {}],
  ]) {
    const least = new Map();
    const sums = new Set();
    for (let round = 0; round < Number(values.rounds); round++)
      for (const [way, run] of Object.entries(WAYS)) {
        const begun = process.cpuUsage();
        sums.add(await run(bytes, { ...how, type: "f32" }));
        const { user, system } = process.cpuUsage(begun);
        least.set(way, Math.min(least.get(way) ?? Number.POSITIVE_INFINITY, (user + system) / 1000));
      }
    if (sums.size !== 1) throw new Error("the ways decode different weights");
    for (const [way, time] of least) console.log(`| ${name} | ${arrays} | ${way} | ${time.toFixed(1)} |`);
  }
