// Trains the trellis tables (clause 8.6) and writes spec/trellis-tables.json. Run after `npm run build`; about
// a quarter of an hour of one core. `node spec/train-tables.mjs 2 4` trains tables 2 and 4 only and keeps the others.
//
// Seeded, so that one machine gives the same tables again; engines may differ in the last bit of Math.log and Math.cos.
// The tables are frozen by their publication, not by this script.
//
// 1. Structure. A good table is a good convolutional code: each bit of the index of a quantization level is the parity
//    of some bits of the window (rows of a matrix over GF(2)). Hill climbing over the rows, with the levels fitted as
//    it goes. Random tables never get there: 1 bit a weight ends at 0.285 that way, and at 0.277 this way.
// 2. Centroids. From the best codes, Viterbi and centroid updates of all 256 windows apart (Lloyd's algorithm), with
//    some noise on the entries that fades away, or with none, whatever ends better.
// 3. Integers. The unit that loses least, then centroid updates rounded to integers.
// Signs are chosen such that window 0 decodes to nothing negative: the error on independent symmetric data is the same.
import { readFileSync, writeFileSync } from "node:fs";
import { viterbiKernelEngine } from "../dist/encode/quantize/viterbi/kernels/viterbi-kernel.js";
import { viterbiPlainEngine } from "../dist/encode/quantize/viterbi/plain.js";
import { findWindows } from "../dist/encode/quantize/viterbi/viterbi.js";

const SHAPES = [
  // number of the table, k, V, bits of a level's index to try, climbs
  { number: 1, stepBits: 1, weightsPerStep: 2, levelBits: [1, 2], climbs: 60 },
  { number: 2, stepBits: 1, weightsPerStep: 1, levelBits: [2, 3], climbs: 80 },
  { number: 3, stepBits: 3, weightsPerStep: 2, levelBits: [2, 3], climbs: 60 },
  { number: 4, stepBits: 2, weightsPerStep: 1, levelBits: [3, 4], climbs: 80 },
  { number: 5, stepBits: 3, weightsPerStep: 1, levelBits: [4, 5], climbs: 60 },
  { number: 6, stepBits: 4, weightsPerStep: 1, levelBits: [5, 6], climbs: 60 },
];
const CLIMB_STEPS = 1 << 14;
const CLIMB_PATIENCE = 250;
const FINALISTS = 6;
const NOISES = [0, 0.1, 0.3, 0.6];
const ROUNDS = 100;
const TEST_SAMPLES = 1 << 21;

const file = new URL("trellis-tables.json", import.meta.url);
const engine = viterbiKernelEngine() ?? viterbiPlainEngine();
const wanted = process.argv.slice(2).map(Number);
const old = wanted.length > 0 ? JSON.parse(readFileSync(file, "utf8")).tables : [];
const test = normals(TEST_SAMPLES, generator(20251125));
const tables = [];
for (const shape of SHAPES) {
  const kept = old.find((t) => t.number === shape.number);
  tables.push(kept !== undefined && !wanted.includes(shape.number) ? kept : train(shape));
}
writeFileSync(file, print(tables));

function train(shape) {
  const start = performance.now();
  const { number, stepBits, weightsPerStep } = shape;
  const log = (text) =>
    console.log(`table ${number}: ${text} (${((performance.now() - start) / 1000).toFixed(0)} s)`);
  const codes = [];
  for (let i = 0; i < shape.climbs; i++)
    codes.push(climb(shape, shape.levelBits[i % shape.levelBits.length], 1000 * number + i));
  codes.sort((a, b) => a.error - b.error);
  log(`best codes ${codes.slice(0, FINALISTS).map((c) => c.error.toFixed(5))}`);

  let best = { error: Number.POSITIVE_INFINITY };
  const judge = normals(1 << 18, generator(7000 + number));
  for (const code of codes.slice(0, FINALISTS)) {
    for (const noise of NOISES) {
      const random = generator(8000 + number);
      const entries = code.entries.slice();
      const samples = normals(1 << 17, random);
      for (let r = 0; r < ROUNDS; r++) centroids(shape, entries, samples, noise * (1 - r / ROUNDS), random);
      const { error } = measure(shape, entries, judge, 1);
      if (error < best.error) best = { error, entries, noise };
    }
  }
  log(`centroids ${best.error.toFixed(5)}, noise ${best.noise}`);

  const samples = normals(1 << 20, generator(9000 + number));
  for (let r = 0; r < 16; r++) centroids(shape, best.entries, samples, 0);
  const result = integers(shape, best.entries, samples);
  const { error, unit } = measure(shape, result.entries, test, result.unit);
  log(`integers ${error.toFixed(5)}, unit ${unit.toFixed(6)}`);
  return {
    number,
    stepBits,
    weightsPerStep,
    unit: Number(unit.toPrecision(6)),
    distortion: Number(error.toPrecision(4)),
    entries: Array.from(result.entries),
  };
}

/** Hill climbing over the parities that make the bits of a level's index. */
function climb({ stepBits, weightsPerStep }, levelBits, seed) {
  const random = generator(seed);
  const draws = normals(CLIMB_STEPS * weightsPerStep, random);
  const levels = quantileMeans(1 << levelBits);
  const score = (rows, samples = draws, rounds = 2) => {
    const own = levels.slice();
    const index = levelIndex(rows, weightsPerStep, levelBits);
    let error = 0;
    for (let r = 0; r < rounds; r++) {
      const entries = Float32Array.from(index, (i) => own[i]);
      error = assign({ stepBits, weightsPerStep }, entries, samples, index, own);
    }
    return { rows, error, entries: Float32Array.from(index, (i) => own[i]) };
  };
  const draw = (n) => Math.floor(random() * n);
  let best = score(Array.from({ length: levelBits * weightsPerStep }, () => 1 + draw(255)));
  for (let stalled = 0; stalled < CLIMB_PATIENCE; stalled++) {
    const rows = best.rows.slice();
    for (let flips = 1 + draw(3); flips > 0; flips--) rows[draw(rows.length)] ^= 1 << draw(8);
    const next = score(rows);
    if (next.error < best.error) {
      best = next;
      stalled = 0;
    }
  }
  // On the same data for all climbs, so that they can be compared.
  return score(best.rows, normals(1 << 17, generator(6)), 4);
}

/** Number of the level of each entry: its bits are the parities of the windows' bits in `rows`. */
function levelIndex(rows, weightsPerStep, levelBits) {
  return Uint8Array.from({ length: 256 * weightsPerStep }, (_, e) => {
    const window = Math.floor(e / weightsPerStep);
    let index = 0;
    for (let r = 0; r < levelBits; r++)
      index = 2 * index + parity(rows[(e % weightsPerStep) * levelBits + r] & window);
    return index;
  });
}

/** One Viterbi pass; every entry becomes the mean of what it codes. Returns the error before that. */
function centroids(shape, entries, samples, noise, random) {
  const own = entries.slice();
  const error = assign(
    shape,
    entries,
    samples,
    Uint16Array.from(entries, (_, e) => e),
    own,
  );
  const width = noise * Math.sqrt(error);
  for (let e = 0; e < entries.length; e++) entries[e] = own[e] + (width > 0 ? width * normal(random) : 0);
  return error;
}

/** One Viterbi pass with `entries`; `levels[index[e]]` becomes the mean of the samples coded by entries of that index. */
function assign(shape, entries, samples, index, levels) {
  const windows = findWindows(samples, { ...shape, entries }, undefined, engine);
  const sums = new Float64Array(levels.length);
  const counts = new Float64Array(levels.length);
  const { weightsPerStep } = shape;
  let error = 0;
  for (let i = 0; i < samples.length; i++) {
    const e = windows[Math.floor(i / weightsPerStep)] * weightsPerStep + (i % weightsPerStep);
    sums[index[e]] += samples[i];
    counts[index[e]]++;
    error += (samples[i] - entries[e]) ** 2;
  }
  for (let l = 0; l < levels.length; l++) if (counts[l] > 0) levels[l] = sums[l] / counts[l];
  return error / samples.length;
}

/**
 * Integer entries: rounded at the best of several units, then Viterbi passes with centroids rounded as well, as long as
 * that gains anything.
 */
function integers(shape, entries, samples) {
  const largest = entries.reduce((m, e) => Math.max(m, Math.abs(e)), 0);
  const judge = samples.subarray(0, 1 << 18);
  let best = { error: Number.POSITIVE_INFINITY };
  // The outermost entries are rare: cutting them a little makes all others finer.
  for (let cut = 1; cut > 0.7; cut -= 0.02) {
    const unit = (largest * cut) / 127;
    const candidate = rounded(entries, unit);
    const measured = measure(shape, candidate, judge, unit);
    if (measured.error < best.error) best = { ...measured, entries: candidate };
  }
  best = { ...measure(shape, best.entries, samples, best.unit), entries: best.entries };
  for (let pass = 0; pass < 6; pass++) {
    const means = Float32Array.from(best.entries, (e) => e * best.unit);
    centroids(shape, means, samples, 0);
    const candidate = rounded(means, best.unit);
    const measured = measure(shape, candidate, samples, best.unit);
    if (measured.error >= best.error) break;
    best = { ...measured, entries: candidate };
  }
  return { unit: best.unit, entries: positiveAtZero(best.entries, shape.weightsPerStep) };
}

function rounded(entries, unit) {
  return Int8Array.from(entries, (e) => Math.max(-127, Math.min(127, Math.round(e / unit))));
}

function positiveAtZero(entries, weightsPerStep) {
  return entries.map((e, i) => (entries[i % weightsPerStep] < 0 ? -e : e));
}

/** Mean squared error of the entries times a scale near `unit`, and the scale that is best for the path it takes. */
function measure(shape, entries, samples, unit) {
  const { weightsPerStep } = shape;
  let error = 0;
  // Path and scale depend on each other.
  for (let pass = 0; pass < 3; pass++) {
    const scaled = Float32Array.from(entries, (e) => e * unit);
    const windows = findWindows(samples, { ...shape, entries: scaled }, undefined, engine);
    let xx = 0;
    let xt = 0;
    let tt = 0;
    for (let i = 0; i < samples.length; i++) {
      const t = entries[windows[Math.floor(i / weightsPerStep)] * weightsPerStep + (i % weightsPerStep)];
      xx += samples[i] * samples[i];
      xt += samples[i] * t;
      tt += t * t;
    }
    unit = xt / tt;
    error = (xx - 2 * unit * xt + unit * unit * tt) / samples.length;
  }
  return { error, unit };
}

/** Means of the `count` equally likely parts of the normal distribution, by sorting samples. */
function quantileMeans(count) {
  const sorted = normals(1 << 16, generator(5)).sort();
  const each = sorted.length / count;
  return Float32Array.from(
    { length: count },
    (_, i) => sorted.subarray(i * each, (i + 1) * each).reduce((s, x) => s + x, 0) / each,
  );
}

function parity(bits) {
  let odd = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) odd ^= 1;
  return odd;
}

function normals(count, random) {
  return Float32Array.from({ length: count }, () => normal(random));
}

/** Box and Muller. */
function normal(random) {
  return Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
}

/** mulberry32: numbers above 0 and below 1. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32 + 2 ** -33;
  };
}

/** As the formatter of this repository has it: numbers fill lines of 110 columns. */
function print(list) {
  const fill = (entries) => {
    const lines = [];
    let line = "";
    for (const [i, entry] of entries.entries()) {
      const word = i === entries.length - 1 ? `${entry}` : `${entry},`;
      if (line !== "" && 8 + line.length + 1 + word.length > 110) {
        lines.push(line);
        line = "";
      }
      line += line === "" ? word : ` ${word}`;
    }
    return [...lines, line].map((text) => `        ${text}`).join("\n");
  };
  const body = list.map(({ entries, ...rest }) => {
    const fields = Object.entries(rest).map(([name, value]) => `      "${name}": ${value}`);
    return `    {\n${fields.join(",\n")},\n      "entries": [\n${fill(entries)}\n      ]\n    }`;
  });
  return `{\n  "tables": [\n${body.join(",\n")}\n  ]\n}\n`;
}
