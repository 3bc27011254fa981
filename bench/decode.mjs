/**
 * Speed of decoding and of memcpy in the same run, and time of a 7B-shaped adapter (224 modules, 40 million weights).
 *
 *     npm run bench:decode [-- --json] [-- --only trellis]      or, after a build, with any runtime: bun bench/decode.mjs
 *
 * One thread. Factors are 16 vectors of 4096 weights; planes are arbitrary bytes with f16 scales, groups of 128 (affine,
 * sign) or whole vectors (trellis; `r` is rotated). Ratios are to `dst.set(src)` between two arrays of 64 MiB that were used
 * before: 1 means that decoding takes as long as copying what it yields. Where it is decoded to:
 *
 * - `copied`: an array of 64 MiB of the caller's, a factor after the other.
 * - `wasm`: as many bytes of WebAssembly memory.
 * - `held`: the arrays of a DecodeMemory: the same place for every factor, which stays in the cache.
 * - `plain`: as `copied`, by the decoder without WebAssembly.
 *
 * What is timed is 4 MiB of output, and a row's time is the least of all 16 such pieces in several rounds through all rows:
 * on a busy machine 64 MiB at once would measure the scheduler, and the slow rows most. For the same reason the time of an
 * adapter is the sum of the least times of its modules.
 */
import { decodeFactor, decodePlain } from "../dist/core/codecs/decode.js";
import { DecodeKernel } from "../dist/core/codecs/kernels/decode-kernel.js";
import { encodingLabel, lower } from "../dist/core/codecs/registry.js";
import { DecodeMemory, decodeDelta, open } from "../dist/core/index.js";
import { planesOf, RANK, sevenB } from "./seven-b.mjs";

const LENGTH = 4096;
const BYTES = 2 ** 26;
const PIECE = 2 ** 22;
const ROUNDS = 6;
export const PLACES = ["copied", "wasm", "held", "plain"];

const scale = "f16";
const trellis = (table, rotation) => ({ codec: "trellis", table, group: 0, scale: "bf16", rotation });
const ENCODINGS = [
  ...["f32", "f16", "bf16"].map((element) => ({ codec: "raw", element })),
  { codec: "sign", group: 128, scale },
  ...[1, 2, 3, 4, 5, 6, 7, 8].map((bits) => ({ codec: "affine", bits, group: 128, scale })),
  ...[1, 2, 3, 4, 5, 6].map((table) => trellis(table, "none")),
  ...[1, 2, 3, 4, 5, 6].map((table) => trellis(table, "hadamard64")),
];

/** Bands as `lqa encode` chooses them at 1.5 bits, and as LoRAQuant 2@0.8 has them. */
const t = (table, rotation = "none") => ({ codec: "trellis", table, group: 0, scale: "bf16", rotation });
const zero = { codec: "zero" };
export const MIXES = {
  rd: [
    [1, { codec: "affine", bits: 6, group: 128, scale }, t(6)],
    [2, t(6), t(6)],
    [2, t(5), t(5)],
    [1, t(4), t(4)],
    [1, t(3), t(3)],
    [1, t(2), t(2)],
    [8, zero, zero],
  ],
  "rd, all rotated, no zeros": [
    [2, t(6, "hadamard64"), t(6, "hadamard64")],
    [3, t(5, "hadamard64"), t(5, "hadamard64")],
    [3, t(4, "hadamard64"), t(4, "hadamard64")],
    [4, t(2, "hadamard64"), t(2, "hadamard64")],
    [4, t(1, "hadamard64"), t(1, "hadamard64")],
  ],
  "loraquant 2@0.8": [
    [2, ...Array(2).fill({ codec: "affine", bits: 2, group: 128, scale })],
    [14, ...Array(2).fill({ codec: "sign", group: 128, scale })],
  ],
};

/** Everything that is measured. `only`: labels of encodings that hold this text; `adapters` for the second part alone. */
export async function measure(only = "") {
  const source = new Uint8Array(BYTES).fill(1);
  const target = new Uint8Array(BYTES).fill(2);
  const hot = 4 * LENGTH * RANK;
  const kernel = DecodeKernel.make();
  const jobs = [];
  const add = (name, run, pieces = BYTES / PIECE) =>
    jobs.push({ name, run, pieces, least: Number.POSITIVE_INFINITY });
  add("memcpy", (at) => target.set(source.subarray(at, at + PIECE), at));
  add("write", (at) => target.fill(3, at, at + PIECE));
  add("memcpy hot", () => {
    for (let i = 0; i < PIECE / hot; i++) target.set(source.subarray(0, hot));
  });
  const rows = [];
  let large;
  for (const encoding of ENCODINGS.filter((encoding) => encodingLabel(encoding).includes(only)))
    for (const type of ["f32", "f16"])
      for (const layout of ["component", "peft"]) {
        const order = layout === "component" ? "component" : "weight";
        const parts = [{ encoding, planes: planesOf(encoding, RANK, LENGTH), components: RANK }];
        const job = { parts, length: LENGTH, order, multiplier: 1 };
        const [Type, size] = type === "f32" ? [Float32Array, 4] : [Uint16Array, 2];
        const key = `${encodingLabel(encoding)} ${type} ${layout}`;
        rows.push({ encoding: encodingLabel(encoding), type, layout, key });
        const each = LENGTH * RANK;
        const factors = (decode) => (at) => {
          for (let to = at / size; to < (at + PIECE) / size; to += each) decode(to);
        };
        const whole = new Type(target.buffer);
        add(
          `${key} copied`,
          factors((to) => decodeFactor(job, whole, to)),
        );
        const [componentStride, weightStride] = layout === "peft" ? [1, RANK] : [LENGTH, 1];
        const place = (offset) => ({ offset, componentStride, weightStride });
        add(
          `${key} plain`,
          factors((to) => decodePlain(lower(encoding), parts[0].planes, RANK, LENGTH, whole, place(to))),
          1,
        );
        if (kernel === undefined) continue;
        large ??= kernel.allocate([{ ...job, multiplier: 2 }], true, BYTES + 2 ** 22);
        const at = large + 2 ** 22;
        const inside = new Type(kernel.memory.buffer, at, BYTES / size);
        add(
          `${key} wasm`,
          factors((to) => decodeFactor(job, inside, to, kernel)),
        );
        const held = new Type(kernel.memory.buffer, at, each);
        add(
          `${key} held`,
          factors(() => decodeFactor(job, held, 0, kernel)),
        );
      }
  for (let round = 0; round < (only === "adapters" ? 2 : ROUNDS); round++)
    for (const job of jobs)
      for (let piece = 0; piece < job.pieces; piece++) {
        const start = performance.now();
        job.run(piece * PIECE);
        job.least = Math.min(job.least, performance.now() - start);
      }
  const rateOf = (name) => {
    const least = jobs.find((job) => job.name === name)?.least;
    return least === undefined ? undefined : PIECE / least / 1e6;
  };
  const memcpy = rateOf("memcpy");
  for (const row of rows)
    for (const place of PLACES) {
      const rate = rateOf(`${row.key} ${place}`);
      if (rate !== undefined) row[place] = { gbPerSecond: rate, ratio: rate / memcpy };
    }
  return {
    runtime: runtimeName(),
    date: new Date().toISOString().slice(0, 10),
    kernel: kernel !== undefined,
    memcpy: { gbPerSecond: memcpy },
    write: { gbPerSecond: rateOf("write") },
    memcpyHot: { gbPerSecond: rateOf("memcpy hot"), bytes: hot },
    rows: rows.map(({ key: _, ...row }) => row),
    adapters: only === "" || only === "adapters" ? await measureAdapters() : [],
  };
}

/** Least time of a run. */
async function leastTime(run, times = 12) {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    await run();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

/** The sum of the least times of all modules. `run` takes what is to be called after each. */
async function leastModules(run, times = 12) {
  const least = [];
  for (let i = 0; i < times; i++) {
    let module = 0;
    let start = performance.now();
    await run(() => {
      const now = performance.now();
      least[module] = Math.min(least[module] ?? Number.POSITIVE_INFINITY, now - start);
      module++;
      start = performance.now();
    });
  }
  return least.reduce((sum, time) => sum + time, 0);
}

async function measureAdapters() {
  const adapters = [];
  for (const [name, mix] of Object.entries(MIXES)) {
    const bytes = await sevenB(mix);
    let file;
    const opening = await leastTime(async () => {
      file = await open(bytes);
    }, 30);
    const memory = new DecodeMemory();
    const weights = file.modules.reduce((sum, m) => sum + m.experts * m.rank * (m.out + m.in), 0);
    const times = { "open and index": opening };
    // Opened each time: what was checked is not checked again.
    const all = (options, times) =>
      leastModules(async (told) => {
        for await (const module of (await open(bytes)).decodeAll(options)) told(module);
      }, times);
    for (const type of ["f16", "f32"])
      for (const layout of ["component", "peft"])
        times[`${type} ${layout} held`] = await all({ type, layout, memory });
    const kept = new Map();
    for await (const { name, b, a } of file.decodeAll({ type: "f16" }))
      kept.set(name, { b: b.data, a: a.data });
    times["f16 peft reused"] = await all({ type: "f16", into: (module) => kept.get(module.name) });
    // All of it is kept, or an engine would hand out the memory of the run before.
    const taken = [];
    const decodeFresh = async (told) => {
      for await (const module of (await open(bytes)).decodeAll({ type: "f16" })) told(taken.push(module));
    };
    times["f16 peft fresh"] = await leastModules(decodeFresh, 6);
    times["crc and planes"] = await leastModules(async (told) => {
      for await (const _ of (await open(bytes)).packedAll()) told();
    });
    const module = file.modules.find((m) => m.out === 4096 && m.in === 4096);
    const delta = new Float32Array(module.out * module.in);
    const packed = await file.packed(module);
    times["ΔW 4096 × 4096"] = await leastTime(() => decodeDelta(module, packed, { into: delta }));
    adapters.push({
      name,
      bytes: bytes.length,
      modules: file.modules.length,
      weights,
      milliseconds: times,
    });
  }
  return adapters;
}

function runtimeName() {
  const { Bun, Deno, process, navigator } = globalThis;
  if (Bun) return `Bun ${Bun.version}`;
  if (Deno) return `Deno ${Deno.version.deno}`;
  if (process?.versions?.node) return `Node ${process.versions.node}`;
  return /Chrome\/\d+/.exec(navigator.userAgent)?.[0].replace("Chrome/", "Chromium ") ?? navigator.userAgent;
}

function print({ runtime, memcpy, write, memcpyHot, kernel, rows, adapters }) {
  console.log(
    `${runtime}; memcpy ${memcpy.gbPerSecond.toFixed(1)} GB/s, writing alone ${write.gbPerSecond.toFixed(1)} GB/s, memcpy of ${memcpyHot.bytes / 1024} KiB in the cache ${memcpyHot.gbPerSecond.toFixed(1)} GB/s; kernel ${kernel ? "present" : "missing"}`,
  );
  const head = PLACES.map((place) => place.padStart(6)).join(" ");
  const cell = (row, place) => (row?.[place] === undefined ? "-" : row[place].ratio.toFixed(2)).padStart(6);
  for (const type of ["f32", "f16"]) {
    console.log(`\n${`${type}, ratio to memcpy`.padEnd(24)}component: ${head}   peft: ${head}`);
    for (const own of rows.filter((row) => row.type === type && row.layout === "component")) {
      const { encoding } = own;
      const peft = rows.find((r) => r.encoding === encoding && r.type === type && r.layout === "peft");
      const cells = [own, peft].map((row) => PLACES.map((place) => cell(row, place)).join(" "));
      console.log(`${encoding.padEnd(34)} ${cells[0]}         ${cells[1]}`);
    }
  }
  for (const { name, weights, modules, bytes, milliseconds } of adapters) {
    console.log(
      `\n${name}: ${modules} modules, ${(weights / 1e6).toFixed(1)} M weights, ${(bytes / 1e6).toFixed(1)} MB`,
    );
    for (const [what, ms] of Object.entries(milliseconds))
      console.log(`  ${what.padEnd(26)} ${ms.toFixed(1)} ms`);
  }
}

const args = globalThis.process?.argv ?? [];
if (args[1]?.endsWith("decode.mjs")) {
  const result = await measure(args.includes("--only") ? args[args.indexOf("--only") + 1] : "");
  if (args.includes("--json")) console.log(JSON.stringify(result, null, 2));
  else print(result);
}
