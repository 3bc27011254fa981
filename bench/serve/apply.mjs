/**
 * Packed application and its baselines: for every encoding and for whole adapters, at 1, 4, 16 and 64 rows.
 *
 *     npm run build && node bench/serve/apply.mjs [--json] [--only trellis]
 *
 * One thread. Modules are the projections of LLaMA-2-7B, rank 16, in several layers with planes of their own, so that nothing
 * but the rows is in the second cache. A time is the sum over modules of the least time of each (from 16 rows on of CPU
 * time), in ns per weight, for all rows together:
 *
 * - `packed`: applyPacked.
 * - `decoded`: the module is decoded to binary32 in memory that is used again, then multiplied.
 * - `f16`: factors that are in memory as binary16 before the clock starts.
 */
import { DecodeKernel } from "../../dist/core/codecs/kernels/decode-kernel.js";
import { encodingLabel } from "../../dist/core/codecs/registry.js";
import { factorsOf } from "../../dist/core/container/resident.js";
import { decodeModule } from "../../dist/core/read/decode.js";
import { applyPacked } from "../../dist/serve/apply.js";
import { residentModule } from "../../dist/serve/resident-module.js";
import { linear, PROJECTIONS, RANK } from "../seven-b.mjs";
import { makeBaselines } from "./baselines.mjs";
import { cpuNow } from "./clock.mjs";

const ROWS = (process.env.ROWS ?? "1,4,16,64").split(",").map(Number);
const LAYERS = 3;
const scale = "f16";
const grouped = (codec) => ({ ...codec, group: 128, scale });
const trellis = (table, rotation = "none") => ({
  codec: "trellis",
  table,
  group: 0,
  scale: "bf16",
  rotation,
});
const zero = { codec: "zero" };
const everywhere = (encoding) => [[RANK, encoding, encoding]];

const SINGLE = [
  ...["f16", "bf16", "f32"].map((element) => ({ codec: "raw", element })),
  grouped({ codec: "sign" }),
  ...[1, 2, 3, 4, 5, 6, 7, 8].map((bits) => grouped({ codec: "affine", bits })),
  ...[1, 2, 3, 4, 5, 6].map((table) => trellis(table)),
  ...[1, 2, 3, 4, 5, 6].map((table) => trellis(table, "hadamard64")),
];
const MIXES = {
  "rd 1.5 bits": [
    [1, grouped({ codec: "affine", bits: 6 }), trellis(6)],
    [2, trellis(6), trellis(6)],
    [2, trellis(5), trellis(5)],
    [1, trellis(4), trellis(4)],
    [1, trellis(3), trellis(3)],
    [1, trellis(2), trellis(2)],
    [8, zero, zero],
  ],
  "rd, all rotated, no zeros": [
    [2, trellis(6, "hadamard64"), trellis(6, "hadamard64")],
    [3, trellis(5, "hadamard64"), trellis(5, "hadamard64")],
    [3, trellis(4, "hadamard64"), trellis(4, "hadamard64")],
    [4, trellis(2, "hadamard64"), trellis(2, "hadamard64")],
    [4, trellis(1, "hadamard64"), trellis(1, "hadamard64")],
  ],
  "loraquant 2@0.8": [
    [2, ...Array(2).fill(grouped({ codec: "affine", bits: 2 }))],
    [14, ...Array(2).fill(grouped({ codec: "sign" }))],
  ],
};

/** Of which every twentieth weight is made subnormal: real adapters have 0.1 to 5 % of them in binary16. */
const SUBNORMAL = "raw f16, 5 % subnormal";

function modulesOf(name, mix) {
  const bands = mix.map(([components, b, a]) => ({ components, b, a }));
  const modules = [];
  for (let layer = 0; layer < LAYERS; layer++)
    for (const [projection, out, input] of PROJECTIONS) {
      const { planes, ...shape } = linear(`layers.${layer}.${projection}`, out, input, bands);
      const packed = residentModule(shape, { bands, planes });
      // The exponent is in the upper byte.
      if (name === SUBNORMAL) for (let i = 1; i < packed.payload.length; i += 40) packed.payload[i] &= 0x83;
      modules.push(packed);
    }
  return modules;
}

let made;

/** Whether all ways compute the same: otherwise their times mean nothing. */
function assertSame(baselines, module, held) {
  const { in: n, out } = module.shape;
  const x = new Float32Array(n).map((_, i) => Math.sin(i));
  const [packed, decoded, f16] = [0, 1, 2].map(() => new Float32Array(out));
  applyPacked(module, x, packed);
  baselines.decode(module);
  baselines.multiply(module, x, decoded, 1);
  baselines.multiplyHeld(module, held, x, f16, 1);
  const length = (values) => Math.hypot(...values);
  for (const [other, most] of [
    [decoded, 1e-5],
    [f16, 1e-2],
  ]) {
    const error = length(packed.map((y, i) => y - other[i])) / length(packed);
    if (!(error <= most)) throw new Error(`${encodingLabel(module.bands[0].b)}: results differ by ${error}`);
  }
}

function measureMix(name, mix, rowCounts, times) {
  const modules = modulesOf(name, mix);
  const longest = 11008;
  const baselines = made();
  baselines.prepare(longest, RANK, Math.max(...rowCounts), Math.max(...modules.map((m) => m.payload.length)));
  const held = modules.map((module) => {
    const { b, a } = decodeModule(module.shape, factorsOf(module), { type: "f16", layout: "component" });
    const bits = (half) => new Uint16Array(half.data.buffer, half.data.byteOffset, half.data.length);
    return baselines.hold(module, bits(b), bits(a));
  });
  const weights = modules.reduce((sum, { shape }) => sum + shape.rank * (shape.in + shape.out), 0);
  assertSame(baselines, modules[0], held[0]);
  const found = [];
  for (const rows of rowCounts) {
    const x = new Float32Array(rows * longest).map((_, i) => Math.sin(i));
    const y = new Float32Array(rows * longest);
    const halfX = new Uint16Array(rows * longest).fill(0x3555);
    const halfY = new Uint16Array(rows * longest).fill(0x3555);
    const own = (array, length) => array.subarray(0, rows * length);
    const runs = {
      packed: (m) => applyPacked(m, own(x, m.shape.in), own(y, m.shape.out)),
      "packed, f16 rows": (m) => applyPacked(m, own(halfX, m.shape.in), own(halfY, m.shape.out)),
      decoded: (m) => {
        baselines.decode(m);
        baselines.multiply(m, own(x, m.shape.in), own(y, m.shape.out), rows);
      },
      f16: (m, i) => baselines.multiplyHeld(m, held[i], own(x, m.shape.in), own(y, m.shape.out), rows),
    };
    const row = { name, rows };
    // Calls of a millisecond and more are interrupted on a machine that is busy; of the others CPU time is not exact enough.
    const now = rows < 16 ? () => performance.now() : cpuNow;
    const least = Object.fromEntries(Object.keys(runs).map((key) => [key, modules.map(() => Infinity)]));
    for (let time = 0; time < times; time++)
      for (const [key, run] of Object.entries(runs))
        modules.forEach((module, i) => {
          const start = now();
          run(module, i);
          least[key][i] = Math.min(least[key][i], now() - start);
        });
    for (const key of Object.keys(runs))
      row[key] = (1e6 * least[key].reduce((sum, t) => sum + t, 0)) / weights;
    row.toDecoded = row.decoded / row.packed;
    row.toF16 = row.packed / row.f16;
    found.push(row);
  }
  return found;
}

/** @param only text in the names of what is measured */
export async function measureApply(only = "", times = 12) {
  made = await makeBaselines();
  const all = [
    ...Object.entries(MIXES),
    [SUBNORMAL, everywhere({ codec: "raw", element: "f16" })],
    ...SINGLE.map((encoding) => [encodingLabel(encoding), everywhere(encoding)]),
  ];
  return all
    .filter(([name]) => name.includes(only))
    .flatMap(([name, mix]) => measureMix(name, mix, ROWS, times));
}

export function printApply(rows) {
  console.log(
    "ns per weight, all rows together".padEnd(34) +
      "rows packed  f16 rows  decoded    f16 | decoded/packed packed/f16",
  );
  for (const row of rows) {
    const cells = [row.packed, row["packed, f16 rows"], row.decoded, row.f16].map((v) =>
      v.toFixed(3).padStart(8),
    );
    console.log(
      `${row.name.padEnd(34)}${String(row.rows).padStart(4)} ${cells.join(" ")} | ${row.toDecoded.toFixed(2).padStart(8)} ${row.toF16.toFixed(2).padStart(8)}`,
    );
  }
}

if (process.argv[1].endsWith("apply.mjs")) {
  const args = process.argv;
  if (DecodeKernel.make() === undefined) throw new Error("no WebAssembly with SIMD");
  const rows = await measureApply(args.includes("--only") ? args[args.indexOf("--only") + 1] : "");
  if (args.includes("--json")) console.log(JSON.stringify(rows, null, 2));
  else printApply(rows);
}
