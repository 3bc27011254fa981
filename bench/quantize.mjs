/**
 * Time of each stage of the encoder's value level, on modules shaped like LLaMA-2-7B's (rank 16), one thread.
 *
 * Build first (`npm run build`), then `node bench/quantize.mjs [variant] [refine]`. Factors are seeded normal numbers
 * with component k of B scaled by 0.94^k, so that about half of the components are strong, as in trained adapters. MB are megabytes of float32
 * factors. Each figure is the median of several runs; the last lines add up the 224 modules of the whole adapter.
 */
import { decodePlanes } from "../dist/codecs/decode.js";
import { loraQuant } from "../dist/quantize/loraquant.js";
import { moduleQuality } from "../dist/quantize/quality.js";
import { reparameterize } from "../dist/quantize/reparameterize.js";
import { parseVariant } from "../dist/quantize/variant.js";

const RANK = 16;
const RUNS = 9;
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

function median(run) {
  const times = [];
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    run();
    times.push(performance.now() - start);
  }
  return times.sort((x, y) => x - y)[RUNS >> 1];
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
console.log(`variant ${variant.bits}@${variant.coverage}, refine ${refine}, Node ${process.versions.node}`);
for (const shape of SHAPES) {
  const module = makeModule(shape);
  const factors = loraQuant(module, options);
  const size = (module.b.length + module.a.length) * 4e-6;
  const f32 = new Float32Array(RANK * Math.max(shape.out, shape.in));
  const f16 = new Uint16Array(f32.length);
  const svd = median(() => reparameterize(module, 0));
  const times = [
    svd,
    median(() => loraQuant(module, options)) - svd,
    median(() => moduleQuality(module, factors)),
    median(() => decode(module, factors, f32)),
    median(() => decode(module, factors, f16)),
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
}
console.log(`\n224 modules, ${megabytes.toFixed(0)} MB`);
totals.forEach((total, i) => {
  console.log(
    `  ${stages[i].padEnd(16)} ${total.toFixed(2).padStart(7)} s  ${(megabytes / total).toFixed(0).padStart(6)} MB/s`,
  );
});
console.log(`  encode, in all   ${(totals[0] + totals[1] + totals[2]).toFixed(2).padStart(7)} s`);
