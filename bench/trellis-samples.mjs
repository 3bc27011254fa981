/**
 * Why distortions of trellis tables are measured on weights that had no part in training. A table of ½ bit per weight is
 * trained the plain way: random entries, 150 rounds of Viterbi and centroids on a permutation of normal quantiles (the same
 * one every round, or a new one). Its distortion is printed on the last of those samples and on 2^21 others, together with
 * that of table 1.
 *
 * Build first (`npm run build`), then `node bench/trellis-samples.mjs`; half a minute.
 */

import { TRELLIS_TABLES } from "../dist/core/codecs/trellis.js";
import { kernelEngine } from "../dist/encode/quantize/viterbi/kernels/viterbi-kernel.js";
import { plainEngine } from "../dist/encode/quantize/viterbi/plain.js";
import { findWindows } from "../dist/encode/quantize/viterbi/viterbi.js";

const SAMPLES = 16_384;
const ROUNDS = 150;
const engine = kernelEngine() ?? plainEngine();
const table = TRELLIS_TABLES.get(1);
const shape = { stepBits: table.stepBits, weightsPerStep: table.weightsPerStep };

/** mulberry32: numbers above 0 and below 1. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
}

function normals(count, random) {
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random()),
  );
}

function shuffle(samples, random) {
  for (let i = samples.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [samples[i], samples[j]] = [samples[j], samples[i]];
  }
}

/** Mean squared error; with `update`, every entry becomes the mean of its samples. */
function pass(entries, samples, update) {
  const windows = findWindows(samples, { ...shape, entries }, undefined, engine);
  const sums = new Float64Array(entries.length);
  const counts = new Float64Array(entries.length);
  let error = 0;
  for (let i = 0; i < samples.length; i++) {
    const e = windows[Math.floor(i / 2)] * 2 + (i % 2);
    error += (samples[i] - entries[e]) ** 2;
    sums[e] += samples[i];
    counts[e]++;
  }
  if (update) for (let e = 0; e < entries.length; e++) if (counts[e] > 0) entries[e] = sums[e] / counts[e];
  return error / samples.length;
}

const others = normals(1 << 21, generator(20251125));
// Quantiles by sorting: a sample of that size differs from them by less than matters here.
const many = normals(SAMPLES * 64, generator(5)).sort();
const quantiles = Float32Array.from({ length: SAMPLES }, (_, i) => many[i * 64 + 32]);
console.log("samples trained with          seed   on them   on others");
for (const fresh of [false, true])
  for (const seed of [1, 2, 3]) {
    const random = generator(seed);
    const entries = normals(512, random);
    const samples = quantiles.slice();
    shuffle(samples, random);
    for (let round = 0; round < ROUNDS; round++) {
      if (fresh) shuffle(samples, random);
      pass(entries, samples, true);
    }
    const own = pass(entries, samples, false);
    const name = fresh ? "a new permutation a round" : "one permutation";
    console.log(
      `${name.padEnd(30)}${String(seed).padEnd(7)}${own.toFixed(4).padEnd(10)}${pass(entries, others, false).toFixed(4)}`,
    );
  }
const ours = Float32Array.from(table.entries, (t) => t * table.unit);
console.log(`table 1 of the specification${" ".repeat(19)}${pass(ours, others, false).toFixed(4)}`);
