/**
 * Time of each stage of the encoder's value level, on modules shaped like LLaMA-2-7B's (rank 16), one thread.
 *
 * Build first (`npm run build`), then `node bench/quantize.mjs [variant] [refine]`. Factors are seeded normal numbers
 * with component k of B scaled by 0.94^k, so that about half of the components are strong, as in trained adapters. MB are
 * megabytes of float32 factors. Each figure is the best of several runs, because on a shared machine the median tells
 * what the others do; the last lines add up the 224 modules of the whole adapter.
 */
import { decodePlanes } from "../dist/core/codecs/decode.js";
import { loraQuant } from "../dist/encode/quantize/loraquant.js";
import { moduleQuality } from "../dist/encode/quantize/quality.js";
import { reparameterize } from "../dist/encode/quantize/reparameterize.js";
import { parseVariant } from "../dist/encode/quantize/variant.js";

const RANK = 16;
const RUNS = 25;
/** Shape and how often it occurs: q, k, v, o; gate and up; down; times 32 layers. */
const SHAPES = [
  { out: 4096, in: 4096, count: 4 * 32 },
  { out: 11008, in: 4096, count: 2 * 32 },
  { out: 4096, in: 11008, count: 32 },
];
const variant = parseVariant(process.argv[2] ?? "2@0.8");
const refine = process.argv[3] ?? "search";
const options = { variant, refine, hRule: "code", group: 128 };

function makeModule(shape) {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const b = Float32Array.from({ length: shape.out * RANK }, (_, i) => normal() * 0.94 ** (i % RANK));
  const a = Float32Array.from({ length: shape.in * RANK }, normal);
  const kind = { role: "linear", kernel: [], groups: 1, experts: 1, baseLayout: "out-in", rule: "alpha/r" };
  return {
    ...kind,
    name: "module",
    out: shape.out,
    in: shape.in,
    rank: RANK,
    multiplier: 2,
    alpha: 32,
    b,
    a,
  };
}

function best(run) {
  let time = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    run();
    time = Math.min(time, performance.now() - start);
  }
  return time;
}

function decode(module, { bands, planes }, target) {
  let from = 0;
  bands.forEach((band, i) => {
    const { b, a } = planes[0][i];
    const place = (length) => ({ offset: from * length, componentStride: length, weightStride: 1 });
    decodePlanes(band.b, b, band.components, module.out, target, place(module.out));
    decodePlanes(band.a, a, band.components, module.in, target, place(module.in));
    from += band.components;
  });
}

const stages = ["reparameterize", "fit and code", "quality", "decode f32", "decode f16"];
const totals = stages.map(() => 0);
let megabytes = 0;
/** Sum of dimensions times rank²: what operations are counted in. */
let work = 0;
console.log(`variant ${variant.bits}@${variant.coverage}, refine ${refine}, Node ${process.versions.node}`);
for (const shape of SHAPES) {
  const module = makeModule(shape);
  const factors = loraQuant(module, options);
  const size = (module.b.length + module.a.length) * 4e-6;
  const f32 = new Float32Array(RANK * Math.max(shape.out, shape.in));
  const f16 = new Uint16Array(f32.length);
  const svd = best(() => reparameterize(module, 0));
  const times = [
    svd,
    best(() => loraQuant(module, options)) - svd,
    best(() => moduleQuality(module, factors)),
    best(() => decode(module, factors, f32)),
    best(() => decode(module, factors, f16)),
  ];
  const bands = factors.bands.map((band) => `${band.components} ${band.b.codec}`).join(", ");
  console.log(`\n${shape.out} x ${shape.in} (${bands})`);
  times.forEach((time, i) => {
    console.log(
      `  ${stages[i].padEnd(16)} ${time.toFixed(1).padStart(7)} ms ${((size / time) * 1e3).toFixed(0).padStart(6)} MB/s`,
    );
    totals[i] += (time * shape.count) / 1e3;
  });
  megabytes += size * shape.count;
  work += (shape.out + shape.in) * RANK * RANK * shape.count;
}
console.log(`\n224 modules, ${megabytes.toFixed(0)} MB`);
totals.forEach((total, i) => {
  console.log(
    `  ${stages[i].padEnd(16)} ${total.toFixed(2).padStart(7)} s  ${(megabytes / total).toFixed(0).padStart(6)} MB/s`,
  );
});
console.log(`  encode, in all   ${(totals[0] + totals[1] + totals[2]).toFixed(2).padStart(7)} s`);

// Four dot products at a time, all in the first cache, in plain JavaScript: what a core does without SIMD.
function scalarLimit() {
  const x = Float64Array.from({ length: 5 * 512 }, (_, i) => 1 / (i + 1));
  const run = () => {
    let [s0, s1, s2, s3] = [0, 0, 0, 0];
    for (let round = 0; round < 2000; round++) {
      for (let i = 0; i < 512; i++) {
        const value = x[i];
        s0 += value * x[i + 512];
        s1 += value * x[i + 1024];
        s2 += value * x[i + 1536];
        s3 += value * x[i + 2048];
      }
    }
    return s0 + s1 + s2 + s3;
  };
  return (2000 * 512 * 8) / (best(run) * 1e6);
}

const speed = (operations, seconds) => `${((operations * work) / seconds / 1e9).toFixed(1)} GFLOP/s`;
// QR 2, the products that T needs 1, Q · C 2; Gram matrices of twice the rank, symmetric, 4.
console.log(
  `  reparameterize ${speed(5, totals[0])}, quality ${speed(4, totals[2])}; scalar dot products ${scalarLimit().toFixed(1)} GFLOP/s`,
);
