/**
 * Pools of 1 to 10,000 adapters within one budget: what they take in memory, how long a switch takes, and how many requests a
 * second are served where each is for an adapter drawn at random, one row through all its modules. Packed in an
 * `AdapterPool`; as binary16 in a cache of the same budget; and from a safetensors file each time.
 */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openFileSource } from "../../dist/node/files/file.js";
import { AdapterPool } from "../../dist/serve/index.js";
import { adapterFile, modulesOf, SHAPES } from "./adapters.mjs";
import { makeBaselines } from "./baselines.mjs";
import { available, cpuNow, high, median, memoryNow } from "./clock.mjs";

const COUNTS = [1, 10, 100, 1000, 10000];
export const BUDGET = 8 * 2 ** 30;
const LONGEST = 11008;
export const SWITCHES = 10_000;
/** Adapters share so many files, which together are in the memory of the system, and not in the caches of a processor. */
export const FILES = 64;

/** Numbers below `count`, always the same ones. */
function drawing(count) {
  let at = 1;
  return () => {
    at = (at * 48271) % 2147483647;
    return at % count;
  };
}

/**
 * Requests a second of CPU time: the best of five stretches of a second, since the machine is shared. Two seconds before them are not
 * counted: a cache that was just filled does not evict yet, and the first misses take longer, while the engine compiles what they run
 * and collects what filling has left.
 */
async function rate(serve) {
  const stretch = async (milliseconds) => {
    const start = cpuNow();
    let served = 0;
    for (; cpuNow() - start < milliseconds; served++) await serve();
    return (1000 * served) / (cpuNow() - start);
  };
  await stretch(2000);
  let best = 0;
  for (let i = 0; i < 5; i++) best = Math.max(best, await stretch(1000));
  return best;
}

/** A pool of one shape, grown from one number of adapters to the next. Adapters have memory of their own, if one file. */
async function packedPool(name, paths, counts, budgetBytes, modules) {
  const open = async (adapter) => {
    const source = await openFileSource(paths[Number(adapter.slice("adapter-".length)) % FILES]);
    return { source, close: () => source.close() };
  };
  const before = memoryNow();
  // Without ids nothing is shared, so a file may stand for many.
  const pool = new AdapterPool({ budgetBytes, store: { open }, verify: false });
  const rows = [];
  let loaded = 0;
  for (const count of counts) {
    console.error(`  ${count} ${name} …`);
    const start = cpuNow();
    const first = loaded;
    // What does not fit any more is loaded by requests.
    for (; loaded < count && pool.statistics.evictions === 0; loaded++)
      (await pool.acquire(`adapter-${loaded}`)).release();
    const loadCpu = (cpuNow() - start) / Math.max(1, loaded - first);
    const after = memoryNow();
    const { usedBytes, resident } = pool.statistics;
    rows.push({
      shape: name,
      adapters: count,
      budgetBytes,
      resident,
      usedBytes,
      rssBytes: after.rss - before.rss,
      heapBytes: after.heapUsed - before.heapUsed,
      loadCpuMilliseconds: loadCpu,
      ...(await switches(pool, count, modules[0])),
      ...(await packedRequests(pool, count, modules)),
      rssBytesAfterwards: process.memoryUsage().rss - before.rss,
    });
  }
  pool.clear();
  return rows;
}

/** A switch: a resident adapter that was not used just now, until it is ready; and until its first module is applied. */
async function switches(pool, count, { name, shape }) {
  const x = new Float32Array(shape.in).fill(0.5);
  const y = new Float32Array(shape.out);
  const [ready, applied] = [[], []];
  for (let i = 0; ready.length < SWITCHES; i++) {
    const other = `adapter-${(i * 7919) % count}`;
    if (!pool.isResident(other)) continue;
    const begin = performance.now();
    const lease = await pool.acquire(other);
    ready.push(performance.now() - begin);
    lease.apply(name, x, y);
    applied.push(performance.now() - begin);
    lease.release();
  }
  return {
    switchMilliseconds: { median: median(ready), high: high(ready), most: Math.max(...ready) },
    switchAndApplyMilliseconds: { median: median(applied), high: high(applied) },
  };
}

async function packedRequests(pool, count, modules) {
  const draw = drawing(count);
  const [x, y] = [new Float32Array(LONGEST).fill(0.5), new Float32Array(LONGEST)];
  const { hits, misses, evictions } = pool.statistics;
  const packed = await rate(async () => {
    const lease = await pool.acquire(`adapter-${draw()}`);
    for (const { name, shape } of modules)
      lease.apply(name, x.subarray(0, shape.in), y.subarray(0, shape.out));
    lease.release();
  });
  const now = pool.statistics;
  const [hit, missed] = [now.hits - hits, now.misses - misses];
  return { packed, packedHitShare: hit / (hit + missed), evictions: now.evictions - evictions };
}

/** A safetensors file of a shape in binary16: for each module B, then A, in the layout that the kernel wants. */
function halvesFile(path, modules) {
  const header = {};
  let at = 0;
  for (const { name, shape } of modules)
    for (const [factor, length] of [
      ["lora_B", shape.out],
      ["lora_A", shape.in],
    ]) {
      const bytes = 2 * shape.rank * length;
      header[`${name}.${factor}.weight`] = {
        dtype: "F16",
        shape: [shape.rank, length],
        data_offsets: [at, at + bytes],
      };
      at += bytes;
    }
  const json = JSON.stringify(header);
  const text = Buffer.from(json.padEnd(8 * Math.ceil(json.length / 8)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const halves = Uint16Array.from({ length: at / 2 }, (_, i) => 0x3000 | ((i * 40503) & 0x83ff));
  writeFileSync(path, Buffer.concat([length, text, new Uint8Array(halves.buffer)]));
}

/** Adapters as binary16 within a budget, least recently used ones dropped, and read from their file again. */
class HalvesCache {
  #entries = new Map();
  #budget;
  #paths;
  reads = 0;

  constructor(paths, budget) {
    this.#paths = paths;
    this.#budget = budget;
  }

  get resident() {
    return this.#entries.size;
  }

  get(name) {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      this.reads++;
      const file = openSync(this.#paths[name % FILES], "r");
      const { size } = fstatSync(file);
      let bytes;
      if ((this.#entries.size + 1) * size > this.#budget && this.#entries.size > 0) {
        const [[oldest, { bytes: room }]] = this.#entries;
        this.#entries.delete(oldest);
        bytes = room;
      } else bytes = new Uint8Array(size);
      for (let at = 0; at < size; ) at += readSync(file, bytes, at, size - at, at);
      closeSync(file);
      const end = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
      const tensors = JSON.parse(new TextDecoder().decode(bytes.subarray(8, end)));
      entry = { bytes, end, tensors };
    }
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    return entry;
  }

  tensor({ bytes, end, tensors }, name) {
    const [from, to] = tensors[name].data_offsets;
    return new Uint16Array(bytes.buffer, end + from, (to - from) / 2);
  }
}

/** Serves requests from a cache of so many bytes, which grows from one number of adapters to the next. */
function halvesServer(baselines, paths, budget, modules, rank) {
  const largest = { rank, in: LONGEST, out: LONGEST };
  const room = new Uint16Array(rank * LONGEST);
  const held = baselines.hold({ shape: largest }, room, room);
  const [x, y] = [new Float32Array(LONGEST).fill(0.5), new Float32Array(LONGEST)];
  const cache = new HalvesCache(paths, budget);
  return async (count) => {
    // One more than fits says how many do.
    for (let i = cache.resident; i < count && cache.resident === i; i++) cache.get(i);
    const draw = drawing(count);
    cache.reads = 0;
    let asked = 0;
    const requests = await rate(() => {
      asked++;
      const adapter = cache.get(draw());
      for (const { name, shape } of modules) {
        baselines.replaceHeld(
          held,
          cache.tensor(adapter, `${name}.lora_B.weight`),
          cache.tensor(adapter, `${name}.lora_A.weight`),
        );
        baselines.multiplyHeld({ shape }, held, x.subarray(0, shape.in), y.subarray(0, shape.out), 1);
      }
    });
    return { requests, resident: cache.resident, hitShare: 1 - cache.reads / asked };
  };
}

/** The file, and copies of it. */
function copiesOf(path) {
  return Array.from({ length: FILES }, (_, i) => {
    if (i === 0) return path;
    copyFileSync(path, `${path}.${i}`);
    return `${path}.${i}`;
  });
}

/** What one process measures, so that each begins with memory of its own: a shape, packed or as binary16. */
async function measureOne(name, kind, counts, budget) {
  const shape = SHAPES[name];
  const modules = modulesOf(shape);
  const directory = mkdtempSync(join(tmpdir(), "lqa-bench-"));
  try {
    if (kind === "packed") {
      const file = await adapterFile(shape);
      const path = join(directory, "adapter.lqa");
      writeFileSync(path, file);
      const rows = await packedPool(name, copiesOf(path), counts, budget, modules);
      return rows.map((row) => ({ ...row, fileBytes: file.length }));
    }
    const path = join(directory, "adapter.safetensors");
    halvesFile(path, modules);
    const paths = copiesOf(path);
    const baselines = (await makeBaselines())();
    baselines.prepare(LONGEST, shape.rank, 1, 0);
    const each = await halvesServer(baselines, paths, 0, modules, shape.rank)(10000);
    const serve = halvesServer(baselines, paths, budget, modules, shape.rank);
    const f16Bytes = modules.reduce((sum, { shape: s }) => sum + 2 * s.rank * (s.in + s.out), 0);
    const rows = [];
    for (const count of counts) {
      console.error(`  ${count} ${name}, f16 …`);
      const { requests, resident, hitShare } = await serve(count);
      rows.push({
        f16Bytes,
        f16: requests,
        f16Resident: resident,
        f16HitShare: hitShare,
        safetensors: each.requests,
      });
    }
    return rows;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/**
 * @param most the largest number of adapters
 * @param only text in the name of a shape
 */
export function measurePools(most, only = "") {
  const counts = COUNTS.filter((count) => count <= most);
  const budget = Math.min(BUDGET, Math.floor(0.5 * available()));
  const rows = [];
  for (const name of Object.keys(SHAPES).filter((shape) => shape.includes(only))) {
    const [packed, halves] = ["packed", "halves"].map((kind) => {
      const args = [
        "--expose-gc",
        fileURLToPath(import.meta.url),
        name,
        kind,
        String(budget),
        ...counts.map(String),
      ];
      return JSON.parse(
        execFileSync(process.execPath, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }),
      );
    });
    packed.forEach((row, i) => {
      rows.push({ ...row, ...halves[i] });
    });
  }
  return { budget, rows };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [name, kind, budget, ...counts] = process.argv.slice(2);
  console.log(JSON.stringify(await measureOne(name, kind, counts.map(Number), Number(budget))));
}
