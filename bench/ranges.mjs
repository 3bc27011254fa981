/**
 * What it costs to prove chunks that are read by ranges: the same adapter (224 modules, rank 16, shaped like LLaMA-2-7B's)
 * from a source that may change (digests of spans) and from one that may not (CRC-32), module by module and all at once;
 * and small adapters, of which many modules share a span. CPU time of the least of the rounds.
 *
 * Build first (`npm run build`), then `node bench/ranges.mjs [--json] [--rounds 15]`.
 */
import { cpus } from "node:os";
import { memorySource, open } from "../dist/core/index.js";
import { encodeAdapter } from "../dist/encode/index.js";
import { sevenB } from "./seven-b.mjs";

const rounds = Number(process.argv[process.argv.indexOf("--rounds") + 1]) || 15;
const trellis = { codec: "trellis", table: 5, group: 0, scale: "f16", rotation: "hadamard64" };
const sign = { codec: "sign", group: 128, scale: "f16" };

/** Query and value projections of 32 layers, rank 4. */
async function small() {
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5;
  const modules = Array.from({ length: 64 }, (_, i) => ({
    ...{ name: `layers.${i >> 1}.${i & 1 ? "v" : "q"}`, role: "linear", baseLayout: "out-in", kernel: [] },
    ...{ groups: 1, experts: 1, out: 4096, in: 4096, rank: 4, alpha: 8, multiplier: 2, rule: "alpha/r" },
    b: Float32Array.from({ length: 4 * 4096 }, random),
    a: Float32Array.from({ length: 4 * 4096 }, random),
  }));
  return (
    await encodeAdapter(
      { modules, tensors: [], origin: undefined, meta: {} },
      { profile: "rtn", codeBits: 2 },
    )
  ).bytes;
}

const files = {
  "224 modules": await sevenB([
    [4, trellis, trellis],
    [12, sign, sign],
  ]),
  "64 small modules": await small(),
};

async function measure(bytes, stable, read) {
  let [least, requests, sent] = [Number.POSITIVE_INFINITY, 0, 0];
  const memory = memorySource(bytes);
  for (let round = 0; round < rounds; round++) {
    [requests, sent] = [0, 0];
    const source = {
      size: bytes.length,
      stable,
      read(offset, length) {
        requests++;
        sent += Math.min(length, bytes.length - offset);
        return memory.read(offset, length);
      },
    };
    const begun = process.cpuUsage();
    await read(await open(source));
    const { user, system } = process.cpuUsage(begun);
    least = Math.min(least, (user + system) / 1000);
  }
  return { requests, bytes: sent, milliseconds: least };
}

const WAYS = {
  open: async () => {},
  "one module": (file) => file.packed(file.modules[100 % file.modules.length]),
  "each module in turn": async (file) => {
    for (const record of file.modules) await file.packed(record);
  },
  "all modules at once": async (file) => {
    for await (const _ of file.packedAll());
  },
  verify: (file) => file.verify(),
};

const rows = [];
for (const [name, bytes] of Object.entries(files))
  for (const [way, read] of Object.entries(WAYS))
    rows.push({
      file: name,
      size: bytes.length,
      way,
      checksums: await measure(bytes, true, read),
      digests: await measure(bytes, false, read),
    });
if (process.argv.includes("--json")) console.log(JSON.stringify({ cpu: cpus()[0]?.model, rows }, null, 2));
else {
  console.log(`${cpus()[0]?.model}, Node ${process.version}, least of ${rounds} rounds`);
  const text = ({ requests, bytes, milliseconds }) =>
    `${String(requests).padStart(4)} ${String(bytes).padStart(9)} ${milliseconds.toFixed(2).padStart(7)} ms`;
  for (const { file, size, way, checksums, digests } of rows)
    console.log(
      `${file} (${size})`.padEnd(30),
      way.padEnd(20),
      "CRC",
      text(checksums),
      " SHA",
      text(digests),
    );
}
