/**
 * Noise shaping: errors of weights that are coded change what the next ones aim at, so that what is left disturbs the model's
 * answers less (LDLQ, arXiv 2307.13304; for trellis codes arXiv 2406.11235).
 *
 * An error e of a vector counts by eᵀ H e, H = d I + Vᵀ V: see `Directions`. After some weights the others, F, can still compensate
 * r = V e. If they were any real numbers, eᵀ H e would be least with e_F = −V_Fᵀ (d I + V_F V_Fᵀ)⁻¹ r. So they aim at their
 * weights plus that, computed again for each block of weights.
 *
 * Compensation adds to what is coded, and so to the noise of the codes, most with few bits. A larger d compensates less.
 *
 * Deterministic: only + − × ÷ in binary64, in a fixed order.
 *
 * @module
 */

import { rotateWeights, type TrellisTable, trellisSteps } from "../../../core/format.ts";
import type { Rotation } from "../../../core/index.ts";
import { inputLength } from "../../../model/adapter.ts";
import { continueWindows, defaultEngine, LARGEST_VALUE } from "../viterbi/viterbi.ts";
import { MOST_STRETCH } from "./gain.ts";
import type { TaskWork } from "./vectors.ts";

/** Weights of a block; a multiple of the weights of a step of every table. Those of a very long vector are larger. */
const BLOCK = 32;
/** Most blocks of a vector: each takes k² numbers of memory for each rate. */
const MOST_BLOCKS = 512;
/** Weights after a block that its codes take into account, because bits of a code also belong to the next ones. */
const AHEAD = 16;

/** Smallest d: directions that few texts used may still matter. */
const DAMPING = 0.01;
/** What is added to d for codes of distortion 1 (docs/fidelity.md). */
const CAUTION = 1;
/** Largest stretch of a vector, so that its component has {@link MOST_STRETCH}. */
const MOST = Math.sqrt(MOST_STRETCH);
/** Codes of a vector. */
export interface ShapedCodes {
  readonly windows: Uint8Array;
  /** Their integers, in shared memory that is valid until the next search. */
  readonly integers: Float32Array;
  /** The scale of least squared error of what the codes aimed at. */
  readonly scale: number;
}

/** Shared arrays for all searches. */
const shared = {
  scaled: new Float32Array(0),
  integers: new Float32Array(0),
};

/** H of the vectors of a factor, in the order in which their weights are coded. */
export class ErrorMetric {
  readonly #count: number;
  /** Weights of a block. */
  readonly #block: number;
  readonly #rotation: Rotation;
  /** V, `[weights][k]`. */
  readonly #directions: Float64Array;
  readonly #rest: number;
  /** V_F V_Fᵀ for each block, where F are its weights and all after it: k × k, lower halves. */
  readonly #after: Float64Array;
  /** By d, the factorized d I + V_F V_Fᵀ of each block. */
  readonly #factors = new Map<number, Float64Array>();

  /** @param directions V of the vectors before rotation, `[k][weights]` */
  constructor(directions: Float32Array, length: number, rotation: Rotation) {
    const count = directions.length / length;
    const columns = new Float64Array(directions.length);
    let known = 0;
    for (let i = 0; i < count; i++) {
      const own = directions.subarray(i * length, (i + 1) * length);
      const row = rotation === "none" ? own : rotateWeights(own);
      for (let j = 0; j < length; j++) {
        columns[j * count + i] = row[j]!;
        known += row[j]! * row[j]!;
      }
    }
    this.#count = count;
    this.#rotation = rotation;
    this.#directions = columns;
    this.#block = BLOCK;
    while (length > MOST_BLOCKS * this.#block) this.#block *= 2;
    this.#after = sumsAfter(columns, count, this.#block);
    this.#rest = Math.max(1 - known / length, DAMPING);
  }

  /** eᵀ H e of an error of the vector before rotation. */
  energy(error: Float32Array): number {
    const own = this.#rotation === "none" ? error : rotateWeights(error);
    const along = this.#along(own);
    return this.#product(along, along, innerProduct(own, own));
  }

  /** That energy of a vector, relative to what errors of its squared length have in the mean. */
  spread(vector: Float32Array): number {
    const square = vector.reduce((sum, value) => sum + value * value, 0);
    return square > 0 ? this.energy(vector) / square : 1;
  }

  /** The scale s with the least energy of values − s · integers, both in the order of the codes. */
  scaleOf(values: Float32Array, integers: Float32Array): number {
    const along = this.#along(integers);
    const energy = this.#product(along, along, innerProduct(integers, integers));
    return energy > 0
      ? this.#product(this.#along(values), along, innerProduct(values, integers)) / energy
      : 0;
  }

  /** Finds codes at a scale. @param values in the order of the codes */
  search(values: Float32Array, table: TrellisTable, scale: number): ShapedCodes {
    const { weightsPerStep, entries } = table;
    const [n, count, v] = [values.length, this.#count, this.#directions];
    for (const use of ["scaled", "integers"] as const)
      if (shared[use].length < n) shared[use] = new Float32Array(n);
    const { scaled, integers } = shared;
    const factors = this.#factorsFor(this.#rest + CAUTION * table.distortion);
    // V e so far, and how much of each direction the next weights take.
    const [left, taken] = [new Float64Array(count), new Float64Array(count)];
    const windows = new Uint8Array(trellisSteps(table, n));
    const size = this.#block;
    const [targets, errors] = [new Float64Array(size + AHEAD), new Float64Array(size)];
    const found = new Uint8Array((size + AHEAD) / weightsPerStep);
    const engine = defaultEngine();
    engine.begin(table, found.length);
    // What counts are errors after the codes, which are shorter than what they stand for, have been stretched (see gain.ts).
    const later = scale * Math.min(1 / (1 - table.distortion), MOST);
    let [before, inner, square] = [0, 0, 0];
    for (let from = 0; from < n; from += size) {
      const end = Math.min(from + size, n);
      const to = Math.min(end + AHEAD, n);
      taken.set(left);
      const block = (from / size) * count * count;
      solve(factors.subarray(block, block + count * count), taken);
      targets.set(values.subarray(from, to));
      takeAlong(v.subarray(from * count), taken, to - from, targets);
      for (let j = from; j < to; j++)
        scaled[j] = Math.max(-LARGEST_VALUE, Math.min(targets[j - from]! / scale, LARGEST_VALUE));
      const steps = found.subarray(0, Math.ceil((to - from) / weightsPerStep));
      continueWindows(scaled, table, engine, [from, to], before, steps);
      const own = steps.subarray(0, Math.ceil((end - from) / weightsPerStep));
      windows.set(own, from / weightsPerStep);
      before = own[own.length - 1]!;
      for (let j = from; j < end; j++) {
        const integer =
          entries[windows[Math.floor(j / weightsPerStep)]! * weightsPerStep + (j % weightsPerStep)]!;
        errors[j - from] = later * integer - values[j]!;
        integers[j] = integer;
        inner += Math.fround(targets[j - from]!) * integer;
        square += integer * integer;
      }
      addAlong(v.subarray(from * count), errors, end - from, left);
    }
    return { windows, integers: integers.subarray(0, n), scale: square === 0 ? 0 : inner / square };
  }

  /** V e. */
  #along(error: Float32Array): Float64Array {
    const sums = new Float64Array(this.#count);
    addAlong(this.#directions, error, error.length, sums);
    return sums;
  }

  /** eᵀ H f of V e, V f and eᵀ f. */
  #product(ofE: Float64Array, ofF: Float64Array, inner: number): number {
    let product = this.#rest * inner;
    for (let i = 0; i < ofE.length; i++) product += ofE[i]! * ofF[i]!;
    return product;
  }

  #factorsFor(d: number): Float64Array {
    const known = this.#factors.get(d);
    if (known !== undefined) return known;
    const count = this.#count;
    const factors = this.#after.slice();
    for (let at = 0; at < factors.length; at += count * count) {
      const block = factors.subarray(at, at + count * count);
      for (let i = 0; i < count; i++) block[i * count + i]! += d;
      factorize(block, count);
    }
    this.#factors.set(d, factors);
    return factors;
  }
}

/** eᵀ f */
function innerProduct(e: Float32Array, f: Float32Array): number {
  let sum = 0;
  for (let j = 0; j < e.length; j++) sum += e[j]! * f[j]!;
  return sum;
}

/** Adds V e to sums. @param v V, `[weights][k]` @param length of e */
function addAlong(v: Float64Array, e: Float32Array | Float64Array, length: number, sums: Float64Array): void {
  const count = sums.length;
  let j = 0;
  // Four weights at a time take half the time. Sums keep their order, and so their bits.
  for (; j + 4 <= length; j += 4) {
    const [e0, e1, e2, e3] = [e[j]!, e[j + 1]!, e[j + 2]!, e[j + 3]!];
    const [at0, at1, at2, at3] = [j * count, (j + 1) * count, (j + 2) * count, (j + 3) * count];
    for (let i = 0; i < count; i++)
      sums[i] = sums[i]! + e0 * v[at0 + i]! + e1 * v[at1 + i]! + e2 * v[at2 + i]! + e3 * v[at3 + i]!;
  }
  for (; j < length; j++) for (let i = 0; i < count; i++) sums[i]! += e[j]! * v[j * count + i]!;
}

/** Subtracts Vᵀ x from targets. @param v V, `[weights][k]` @param length of the targets */
function takeAlong(v: Float64Array, x: Float64Array, length: number, targets: Float64Array): void {
  const count = x.length;
  let j = 0;
  for (; j + 4 <= length; j += 4) {
    let [t0, t1, t2, t3] = [targets[j]!, targets[j + 1]!, targets[j + 2]!, targets[j + 3]!];
    const [at0, at1, at2, at3] = [j * count, (j + 1) * count, (j + 2) * count, (j + 3) * count];
    for (let i = 0; i < count; i++) {
      const own = x[i]!;
      t0 -= v[at0 + i]! * own;
      t1 -= v[at1 + i]! * own;
      t2 -= v[at2 + i]! * own;
      t3 -= v[at3 + i]! * own;
    }
    [targets[j], targets[j + 1], targets[j + 2], targets[j + 3]] = [t0, t1, t2, t3];
  }
  for (; j < length; j++) for (let i = 0; i < count; i++) targets[j]! -= v[j * count + i]! * x[i]!;
}

/** Σ v_j v_jᵀ over the weights from each block on: a k × k matrix for each block, of which the lower half is filled. */
function sumsAfter(v: Float64Array, count: number, weights: number): Float64Array {
  const length = v.length / count;
  const blocks = Math.ceil(length / weights);
  const size = count * count;
  const sums = new Float64Array(blocks * size);
  for (let block = blocks - 1; block >= 0; block--) {
    const sum = sums.subarray(block * size, (block + 1) * size);
    if (block < blocks - 1) sum.set(sums.subarray((block + 1) * size, (block + 2) * size));
    for (let j = block * weights; j < Math.min((block + 1) * weights, length); j++)
      for (let i = 0, at = j * count; i < count; i++)
        for (let k = 0; k <= i; k++) sum[i * count + k]! += v[at + i]! * v[at + k]!;
  }
  return sums;
}

/** H of the vectors of a factor that are coded with a rotation. */
export type Metrics = (factor: "b" | "a" | "rest", rotation: Rotation) => ErrorMetric;

/** How errors in the vectors of a module count; undefined if it is not known. */
export function metricsOf({ module: { out, ...shape }, directions, parent }: TaskWork): Metrics | undefined {
  if (directions === undefined || parent !== undefined) return undefined;
  const made = new Map<string, ErrorMetric>();
  return (factor, rotation) => {
    const side = factor === "b" ? "b" : "a";
    const key = side + rotation;
    const metric =
      made.get(key) ?? new ErrorMetric(directions[side], side === "b" ? out : inputLength(shape), rotation);
    made.set(key, metric);
    return metric;
  };
}

/** Overwrites the lower half of a positive definite k × k matrix by L and D of L D Lᵀ. */
function factorize(matrix: Float64Array, count: number): void {
  for (let i = 0; i < count; i++)
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * count + j]!;
      for (let k = 0; k < j; k++)
        sum -= matrix[i * count + k]! * matrix[j * count + k]! * matrix[k * count + k]!;
      matrix[i * count + j] = j === i ? sum : sum / matrix[j * count + j]!;
    }
}

/** Solves L D Lᵀ x = y, in place. */
function solve(l: Float64Array, y: Float64Array): void {
  const count = y.length;
  for (let i = 0; i < count; i++) for (let k = 0; k < i; k++) y[i]! -= l[i * count + k]! * y[k]!;
  for (let i = count - 1; i >= 0; i--) {
    y[i]! /= l[i * count + i]!;
    for (let k = i + 1; k < count; k++) y[i]! -= l[k * count + i]! * y[k]!;
  }
}
