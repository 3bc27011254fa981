/**
 * The rest of a vector of A' after the best mixture of its start's draws is subtracted (spec clause 8.8).
 *
 * The mixture has the least weighted squared error. Its factors are rounded first, and the rest is relative to the rounded
 * mixture, so that the rounding loses nothing.
 *
 * @module
 */

import type { Planes } from "../../../core/index.ts";
import { addMixture, DRAW_UNIT, MIX_BITS, readMixture } from "../../../core/rooms.ts";

import { codeAffine } from "../code.ts";
import { searchFit } from "../fit.ts";

/** A vector with a start. */
export interface Started {
  /** Bits of the integers of the mixture. */
  readonly bits: number;
  readonly mix: Planes;
  /** The vector to code. */
  readonly rest: Float32Array;
  /** The share of the vector's energy that is left, weighted. */
  readonly share: number;
}

/**
 * How many times the energy of an error of the rest counts, at most as the whole vector. The rest is what training changed: it lies
 * along the inputs that training saw, which the random numbers do not, so the model feels its errors more (docs/known-starts.md).
 */
const LEARNED = 32;

/**
 * The same for what changed since a parent and is not stored, and the share of the parent's noise that is left out of it: the noise is an
 * estimate, and small changes of many vectors hide in it. Both were chosen on updates of adapters in training (docs/guide/training.md).
 * With a share of 1, policy optimization has twice the divergence; of 0.9, updates take a third more bits.
 */
const [CHANGED, SURE] = [8, 0.95];

/** What losing the share `lost` of a vector's energy counts like, if the loss is in the rest. */
export function countedRest(lost: number): number {
  return Math.min(1, LEARNED * lost);
}

/** What not storing the difference from a parent counts like: the share `lost` of a vector's energy, of which `noise` is only noise. */
export function countedChange(lost: number, noise: number): number {
  const sure = SURE * noise;
  return Math.min(1, CHANGED * (lost - sure) + sure);
}

/** The mixtures of each vector, one for each of {@link MIX_BITS}. */
export function startVectors(
  vectors: readonly Float32Array[],
  draws: Int16Array,
  weights: Float32Array | undefined,
): Started[][] {
  const n = vectors[0]?.length ?? 0;
  const rank = n === 0 ? 0 : draws.length / n;
  const weighted = new Float64Array(draws.length);
  for (let k = 0; k < rank; k++)
    for (let i = 0; i < n; i++) weighted[k * n + i] = draws[k * n + i]! * DRAW_UNIT * (weights?.[i] ?? 1);
  const product = (k: number, other: ArrayLike<number>, at: number): number => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += weighted[k * n + i]! * other[at + i]!;
    return sum;
  };
  const gram = new Float64Array(rank * rank);
  for (let k = 0; k < rank; k++)
    for (let l = 0; l <= k; l++)
      gram[k * rank + l] = gram[l * rank + k] = product(k, draws, l * n) * DRAW_UNIT;
  const factored = cholesky(gram, rank);
  return vectors.map((vector) => {
    const right = Float64Array.from({ length: rank }, (_, k) => product(k, vector, 0));
    const mixture = solveCholesky(factored, right, rank);
    return MIX_BITS.map((bits) => startVector(vector, mixture, draws, bits, weights));
  });
}

function startVector(
  vector: Float32Array,
  mixture: Float64Array,
  draws: Int16Array,
  bits: number,
  weights: Float32Array | undefined,
): Started {
  const rank = mixture.length;
  const n = vector.length;
  const bundle = { values: mixture, from: 0, components: 1, length: rank, group: 0 };
  const mix = codeAffine(bundle, bits, searchFit(bundle, bits), "bf16");
  const begun = new Float32Array(n);
  const band = { components: 1, a: { mix: bits } };
  addMixture(readMixture([band], [{ mix }], rank), draws, n, begun, 0);
  const rest = new Float32Array(n);
  let [left, energy] = [0, 0];
  for (let i = 0; i < n; i++) {
    const weight = weights?.[i] ?? 1;
    rest[i] = vector[i]! - begun[i]!;
    left += weight * rest[i]! * rest[i]!;
    energy += weight * vector[i]! * vector[i]!;
  }
  return { bits, mix, rest, share: energy === 0 ? 0 : left / energy };
}

/** The lower Cholesky factor of a matrix that is positive definite except for rounding. */
function cholesky(matrix: Float64Array, n: number): Float64Array {
  const l = matrix.slice();
  for (let j = 0; j < n; j++) {
    for (let k = 0; k < j; k++) {
      const factor = l[j * n + k]!;
      for (let i = j; i < n; i++) l[i * n + j]! -= l[i * n + k]! * factor;
    }
    const root = Math.sqrt(l[j * n + j]!);
    for (let i = j; i < n; i++) l[i * n + j]! /= root;
  }
  return l;
}

function solveCholesky(l: Float64Array, right: Float64Array, n: number): Float64Array {
  const x = right.slice();
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i]! -= l[i * n + k]! * x[k]!;
    x[i]! /= l[i * n + i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i]! -= l[k * n + i]! * x[k]!;
    x[i]! /= l[i * n + i]!;
  }
  return x;
}
