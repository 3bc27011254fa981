// What adapters in a pool cost JavaScript's heap, and how long the garbage collector then takes for all of it: 224 modules of
// a 7B model's names in each, of small shapes, because planes are not in that heap.
//
//   npm run build && node --expose-gc bench/resident-heap.mjs [--adapters N] [--dist FOLDER]
//
// --dist is the build to measure, e.g. that of an older commit in another clone.
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { concat } from "../dist/core/container/bytes.js";
import { prepareFile } from "../dist/core/write/write.js";
import { linear, PROJECTIONS } from "./seven-b.mjs";

const { values } = parseArgs({
  options: {
    adapters: { type: "string", default: "1000" },
    dist: { type: "string", default: join(import.meta.dirname, "../dist") },
  },
});
const COUNT = Number(values.adapters);
const entry = pathToFileURL(join(resolve(values.dist), "serve/index.js")).href;
const { AdapterPool, memoryStore } = await import(entry);

let state = 7;
function random(below) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

/** Bands of rank 16 that hardly another module has, as the profile rd makes them. */
function bands() {
  const trellis = (table) => ({ codec: "trellis", table, group: 0, scale: "bf16", rotation: "none" });
  let left = 16;
  const found = [];
  for (let table = 6; table > 1 && left > 0; table--) {
    const components = Math.min(left, random(4));
    if (components === 0) continue;
    found.push({ components, b: trellis(table), a: trellis(2 + random(5)) });
    left -= components;
  }
  if (left > 0) found.push({ components: left, b: { codec: "zero" }, a: { codec: "zero" } });
  return found;
}

/** @param own puts something into the names that no other adapter has */
async function adapterFile(own) {
  const modules = [];
  for (let layer = 0; layer < 32; layer++)
    for (const [name] of PROJECTIONS)
      modules.push(linear(`model${own}.layers.${layer}.${name}`, 64, 64, bands()));
  return concat([...(await prepareFile({ modules, tensors: [], sections: [] })).pieces()]);
}

async function measure(title, own, count) {
  const files = new Map();
  for (let i = 0; i < Math.min(count, 50); i++) files.set(i, await adapterFile(own ? i : ""));
  const source = (i) => files.get(i % files.size);
  const store = memoryStore({ get: (name) => source(Number(name)) });
  const pool = new AdapterPool({ budgetBytes: 2 ** 34, store, verify: false });
  const load = async (i) => (await pool.acquire(String(i))).release();
  for (let i = 0; i < 10; i++) await load(i);
  const settled = () => {
    globalThis.gc();
    globalThis.gc();
    return process.memoryUsage().heapUsed;
  };
  const before = settled();
  for (let i = 10; i < count; i++) await load(i);
  const heap = settled() - before;
  const started = process.cpuUsage();
  globalThis.gc();
  const { user, system } = process.cpuUsage(started);
  const { usedBytes } = pool.statistics;
  console.log(
    `| ${title} | ${count} | ${(heap / (count - 10) / 1024).toFixed(1)} | ${((user + system) / 1000).toFixed(0)} | ${(usedBytes / count / 1024).toFixed(0)} |`,
  );
  pool.clear();
}

console.log(
  `${cpus()[0].model.trim()}, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}, ${values.dist}\n`,
);
console.log("| adapters | number | heap of one, KiB | a full collection, CPU ms | counted for one, KiB |");
console.log("|---|--:|--:|--:|--:|");
await measure("of one model", false, COUNT);
await measure("each with names of its own", true, 50);
