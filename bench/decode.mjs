/**
 * Speed of decoding beside memcpy in the same run, and time of a 7B-shaped adapter (224 modules, rank 16, 40 million weights).
 *
 *     npm run bench:decode [-- --json] [-- --only trellis]      or, after a build, with any runtime: bun bench/decode.mjs
 *
 * One thread. Output of each row: 64 MiB, as factors of 16 vectors of 4096 weights, one after the other. Ratios are to
 * `dst.set(src)` of 64 MiB, source and target used before: 1 means that decoding takes as long as copying what it
 * yields. Three places: `copied`, an array of the caller's; `wasm`, as many bytes of WebAssembly memory; `held`, the arrays
 * of a DecodeMemory, one factor after another in the same place, which stays in the cache. Planes are arbitrary
 * bytes with f16 scales, groups of 128 (affine, sign) or whole vectors (trellis; `r` is rotated). Each time is the
 * least of several rounds through all rows, so that a busy machine disturbs rows alike.
 */
import { decodeFactor } from "../dist/codecs/decode.js";
import { encodingLabel, planeSizes } from "../dist/codecs/encoding.js";
import { DecodeKernel } from "../dist/codecs/kernels/decode-kernel.js";
import { DecodeMemory, decodeAll, decodeDelta, openLqa } from "../dist/index.js";
import { prepareFile } from "../dist/write/write.js";

const args = globalThis.process?.argv ?? [];
const json = args.includes("--json");
const only = args.includes("--only") ? args[args.indexOf("--only") + 1] : "";
const rounds = 5;

const LENGTH = 4096;
const RANK = 16;
const BYTES = 2 ** 26;

let state = 1;
const byte = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state >>> 24;
};
/** Arbitrary bytes; scales between 2^-9 and 2^-5. */
function planesOf(encoding, components, length) {
  const sizes = planeSizes(encoding, components, length);
  const bytes = (n) => Uint8Array.from({ length: n }, byte);
  const scales = bytes(sizes.scales);
  for (let i = 1; i < scales.length; i += 2)
    scales[i] = encoding.scale === "f16" ? 0x18 + (scales[i] & 15) : 0x3c;
  const codes = bytes(sizes.codes);
  // Raw values are finite and ordinary.
  if (encoding.codec === "raw")
    for (
      let i = encoding.element === "f32" ? 3 : 1;
      i < codes.length;
      i += encoding.element === "f32" ? 4 : 2
    )
      codes[i] = (codes[i] & 0x80) | (encoding.element === "f16" ? 0x30 : 0x3c);
  const zeroPoints = bytes(sizes.zeroPoints);
  const bits = encoding.codec === "affine" ? Math.ceil(length / encoding.group) * encoding.bits : 0;
  // Bits that no zero point uses are zero; codes fill their bytes.
  const each = sizes.zeroPoints / components;
  if (bits % 8 !== 0)
    for (let at = each - 1; at < zeroPoints.length; at += each) zeroPoints[at] &= (1 << (bits % 8)) - 1;
  return { scales, zeroPoints, codes };
}

const scale = "f16";
const trellis = (table, rotation) => ({ codec: "trellis", table, group: 0, scale, rotation });
const ENCODINGS = [
  ...["f32", "f16", "bf16"].map((element) => ({ codec: "raw", element })),
  { codec: "sign", group: 128, scale },
  ...[1, 2, 3, 4, 5, 6, 7, 8].map((bits) => ({ codec: "affine", bits, zeroPoint: true, group: 128, scale })),
  ...[1, 2, 3, 4, 5, 6].map((table) => trellis(table, "none")),
  ...[1, 2, 3, 4, 5, 6].map((table) => trellis(table, "hadamard64")),
].filter((encoding) => encodingLabel(encoding).includes(only));

const source = new Uint8Array(BYTES).fill(1);
const target = new Uint8Array(BYTES).fill(2);
const hot = 4 * LENGTH * RANK;
const jobs = [];
const add = (name, run) => jobs.push({ name, run, least: Number.POSITIVE_INFINITY });
add("memcpy", () => target.set(source));
add("memcpy hot", () => {
  for (let at = 0; at < BYTES; at += hot) target.set(source.subarray(0, hot));
});
const kernel = DecodeKernel.make();
const rows = [];
let large;
for (const encoding of ENCODINGS)
  for (const type of ["f32", "f16"])
    for (const order of ["component", "weight"]) {
      const parts = [{ encoding, planes: planesOf(encoding, RANK, LENGTH), components: RANK }];
      const job = { parts, length: LENGTH, order, multiplier: 1 };
      const [Type, size] = type === "f32" ? [Float32Array, 4] : [Uint16Array, 2];
      const key = `${encodingLabel(encoding)} ${type} ${order}`;
      rows.push({ encoding: encodingLabel(encoding), type, order, key });
      const each = LENGTH * RANK;
      const repeat = (view, step, own) => () => {
        for (let at = 0; at < BYTES / size; at += each) decodeFactor(job, view, at * step, own);
      };
      add(`${key} copied`, repeat(new Type(target.buffer), 1, undefined));
      if (kernel === undefined) continue;
      large ??= kernel.allocate([{ ...job, multiplier: 2 }], true, BYTES + 2 ** 22);
      const at = large + 2 ** 22;
      add(`${key} wasm`, repeat(new Type(kernel.memory.buffer, at, BYTES / size), 1, kernel));
      add(`${key} held`, repeat(new Type(kernel.memory.buffer, at, each), 0, kernel));
    }
for (let round = 0; round < rounds; round++)
  for (const job of jobs) {
    // Twice: the first run finds memory as another row left it.
    for (let again = 0; again < 2; again++) {
      const start = performance.now();
      job.run();
      job.least = Math.min(job.least, performance.now() - start);
    }
  }
const leastOf = (name) => jobs.find((job) => job.name === name)?.least;
const memcpy = leastOf("memcpy");
for (const row of rows)
  for (const place of ["copied", "wasm", "held"]) {
    const least = leastOf(`${row.key} ${place}`);
    if (least !== undefined) row[place] = { gbPerSecond: BYTES / least / 1e6, ratio: memcpy / least };
  }

/** The layers of LLaMA-2-7B with bands as `lqa encode` chooses them at 1.5 bits, and as LoRAQuant 2@0.8 has them. */
const t = (table, rotation = "none") => ({ codec: "trellis", table, group: 0, scale: "bf16", rotation });
const zero = { codec: "zero" };
const MIXES = {
  rd: [
    [1, { codec: "affine", bits: 6, zeroPoint: true, group: 128, scale }, t(6)],
    [2, t(6), t(6)],
    [2, t(5), t(5)],
    [1, t(4), t(4)],
    [1, t(3), t(3)],
    [1, t(2), t(2)],
    [8, zero, zero],
  ],
  "rd, rotated, no zeros": [
    [2, t(6, "hadamard64"), t(6, "hadamard64")],
    [3, t(5, "hadamard64"), t(5, "hadamard64")],
    [3, t(4, "hadamard64"), t(4, "hadamard64")],
    [4, t(2, "hadamard64"), t(2, "hadamard64")],
    [4, t(1, "hadamard64"), t(1, "hadamard64")],
  ],
  "loraquant 2@0.8": [
    [2, ...Array(2).fill({ codec: "affine", bits: 2, zeroPoint: true, group: 128, scale })],
    [14, ...Array(2).fill({ codec: "sign", group: 128, scale })],
  ],
};
const SHAPES = [
  ...["q", "k", "v", "o"].map((name) => [`self_attn.${name}_proj`, 4096, 4096]),
  ["mlp.gate_proj", 11008, 4096],
  ["mlp.up_proj", 11008, 4096],
  ["mlp.down_proj", 4096, 11008],
];
async function adapter(mix) {
  const bands = mix.map(([components, b, a]) => ({ components, b, a }));
  const modules = [];
  for (let layer = 0; layer < 32; layer++)
    for (const [name, out, input] of SHAPES)
      modules.push({
        name: `model.layers.${layer}.${name}`,
        role: "linear",
        out,
        in: input,
        kernel: [],
        groups: 1,
        experts: 1,
        rank: RANK,
        baseLayout: "out-in",
        multiplier: 2,
        alpha: 32,
        rule: "alpha/r",
        bands,
        planes: [
          bands.map(({ components, b, a }) => ({
            b: planesOf(b, components, out),
            a: planesOf(a, components, input),
          })),
        ],
      });
  const prepared = await prepareFile({ modules, tensors: [], sections: [] });
  const parts = [...prepared.pieces()];
  const bytes = new Uint8Array(prepared.fileLength);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
async function leastTime(run, times = 9) {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    await run();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

const adapters = [];
if (only === "" || only === "adapters")
  for (const [name, mix] of Object.entries(MIXES)) {
    const bytes = await adapter(mix);
    let file;
    const open = await leastTime(async () => {
      file = await openLqa(bytes);
    });
    const memory = new DecodeMemory();
    const weights = file.modules.reduce((sum, m) => sum + m.experts * m.rank * (m.out + m.in), 0);
    const row = { name, bytes: bytes.length, modules: file.modules.length, weights, openMs: open };
    for (const type of ["f16", "f32"])
      for (const layout of ["component", "peft"])
        row[`${type} ${layout} held ms`] = await leastTime(() => decodeAll(file, { type, layout, memory }));
    const kept = await decodeAll(file, { type: "f16" });
    row["f16 peft reused ms"] = await leastTime(() =>
      decodeAll(file, { type: "f16", into: (module) => kept.get(module.name) }),
    );
    row["f16 peft fresh ms"] = await leastTime(() => decodeAll(file, { type: "f16" }), 5);
    row["crc and planes ms"] = await leastTime(() => {
      for (const module of file.modules) file.packed(module);
    });
    const module = file.modules.find((m) => m.out === 4096 && m.in === 4096);
    const delta = new Float32Array(module.out * module.in);
    row["ΔW 4096 × 4096 ms"] = await leastTime(() =>
      decodeDelta(module, file.packed(module), { into: delta }),
    );
    adapters.push(row);
  }

const runtime = globalThis.Bun
  ? `Bun ${globalThis.Bun.version}`
  : globalThis.Deno
    ? `Deno ${globalThis.Deno.version.deno}`
    : `Node ${process.versions.node}`;
const gb = (ms) => BYTES / ms / 1e6;
if (json)
  console.log(
    JSON.stringify(
      {
        runtime,
        date: new Date().toISOString().slice(0, 10),
        memcpy: { gbPerSecond: gb(memcpy) },
        memcpyHot: { gbPerSecond: gb(leastOf("memcpy hot")), bytes: hot },
        rows: rows.map(({ key: _, ...row }) => row),
        adapters,
      },
      null,
      2,
    ),
  );
else {
  console.log(
    `${runtime}; memcpy ${gb(memcpy).toFixed(1)} GB/s, of ${hot / 1024} KiB in the cache ${gb(leastOf("memcpy hot")).toFixed(1)} GB/s; kernel ${kernel === undefined ? "missing" : "present"}`,
  );
  console.log("\nratio to memcpy          f32: copied   wasm   held   peft: copied   wasm   held");
  const cell = (row, place) => (row?.[place] === undefined ? "-" : row[place].ratio.toFixed(2)).padStart(6);
  for (const type of ["f32", "f16"]) {
    if (type === "f16") console.log("                         f16:");
    for (const { encoding } of rows.filter((r) => r.type === type && r.order === "component")) {
      const [own, peft] = ["component", "weight"].map((order) =>
        rows.find((r) => r.encoding === encoding && r.type === type && r.order === order),
      );
      const cells = [own, peft].map((row) =>
        ["copied", "wasm", "held"].map((place) => cell(row, place)).join(" "),
      );
      console.log(`${encoding.padEnd(28)} ${cells[0]}        ${cells[1]}`);
    }
  }
  for (const { name, weights, modules, bytes, ...times } of adapters) {
    console.log(
      `\n${name}: ${modules} modules, ${(weights / 1e6).toFixed(1)} M weights, ${(bytes / 1e6).toFixed(1)} MB`,
    );
    for (const [what, ms] of Object.entries(times))
      console.log(`  ${what.replace(/ ?ms|Ms$/i, "").padEnd(26)} ${ms.toFixed(1)} ms`);
  }
}
