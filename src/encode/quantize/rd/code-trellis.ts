/**
 * Trellis-coded vectors: finds the codes for a scale, then the scale for the codes (spec clause 8.6).
 *
 * The first scale suits normal weights with the vector's root mean square. The least-squares scale of
 * these codes is used to find them once more, and is then fitted a last time and rounded to bf16. The rounding moves
 * every weight by at most 2^-9 of itself, which adds 10^-6 to a distortion of 5·10^-3 or more. f16 would be finer, but
 * would leave its normal range for weak components, and one type for all keeps bands together.
 *
 * @module
 */

import {
  FLOAT_BYTES,
  rotateWeights,
  scaleOfRotated,
  type TrellisTable,
  trellisSteps,
} from "../../../core/format.ts";
import type { Planes, Rotation } from "../../../core/index.ts";
import { largestInteger } from "../../../core/rooms.ts";
import * as KIND from "../../../error-catalogue.ts";
import { fail } from "../../../errors.ts";
import { bitsToNumber, numberToBits, writeBits } from "../../../floats.ts";
import { defaultEngine, findWindows, packWindows } from "../viterbi/viterbi.ts";
import type { ErrorMetric } from "./noise-shaping.ts";

/** How to code a vector. */
export interface Manner {
  readonly rotation: Rotation;
  /** Weight of the squared error of each entry; all equal if absent. Rotation mixes entries, so rotated ones count equally. */
  readonly weights: Float32Array | undefined;
  /** How errors count together; then there are no weights. */
  readonly metric?: ErrorMetric | undefined;
  /** Searches the codes once: see {@link ROUNDS}. */
  readonly once?: boolean;
}

/** Storage type of the scales. */
export const TRELLIS_SCALE = "bf16";

/**
 * Number of times that the codes are searched. The second time lowers the error little; without it, differences from a parent take
 * 0.1 % more bytes at most (bench/updates), and a third less time to code.
 */
const ROUNDS = 2;

/** A coded vector. */
interface CodedVector {
  readonly planes: Planes;
  /** ‖x‖², weighted. */
  readonly energy: number;
  /** The share of it that the codes keep with their best scale; 0 if they were found with a metric. */
  readonly kept: number;
}

/**
 * Codes a vector with one scale.
 *
 * @throws LqaError SOURCE_RANGE if a scale overflows bf16
 */
export function codeTrellis(
  values: Float32Array,
  table: TrellisTable,
  manner: Manner,
  where: string,
): CodedVector {
  const { rotation } = manner;
  const zeroPoints = new Uint8Array(0);
  const { codes, energy, ...found } = fitVector(values, table, manner);
  const scales = new Uint8Array(FLOAT_BYTES[TRELLIS_SCALE]);
  const pattern = numberToBits(found.scale, TRELLIS_SCALE);
  // A scale that underflows makes every weight 0; then the codes must be 0 too (spec 12.4).
  if (pattern === 0) return { planes: { scales, zeroPoints, codes: codes.fill(0) }, energy, kept: 0 };
  const scale = bitsToNumber(pattern, TRELLIS_SCALE);
  if (!Number.isFinite(Math.fround(scale * largestInteger(rotation))))
    fail(KIND.SOURCE_RANGE, { where, actual: found.scale });
  writeBits(scales, TRELLIS_SCALE, 0, pattern);
  return { planes: { scales, zeroPoints, codes }, energy, kept: found.kept };
}

/** ‖x − x̂‖² / ‖x‖² at the first scale, weighted, with a fitted but unrounded scale. */
export function trialDistortion(vector: Float32Array, table: TrellisTable, manner: Manner): number {
  const { values, weights } = prepared(vector, manner);
  const { energy, mean } = squares(values, weights);
  if (energy === 0) return 0;
  const windows = search(values, table, table.unit * mean, weights);
  const { inner, square } = products(values, windows, table, weights);
  return square === 0 ? 1 : Math.max(0, 1 - (inner * inner) / (square * energy));
}

function fitVector(
  vector: Float32Array,
  table: TrellisTable,
  manner: Manner,
): { scale: number; codes: Uint8Array; energy: number; kept: number } {
  const { values, weights } = prepared(vector, manner);
  const { metric, once = false } = manner;
  const rounds = once ? 1 : ROUNDS;
  const { energy, mean } = squares(values, weights);
  let scale = table.unit * mean;
  let kept = 0;
  let windows: Uint8Array = new Uint8Array(trellisSteps(table, vector.length));
  for (let round = 0; round < rounds && scale > 0; round++) {
    if (metric !== undefined) {
      const shaped = metric.search(values, table, scale);
      windows = shaped.windows;
      // Codes are found again for what they aim at; the scale that is stored is for the vector.
      scale = round < rounds - 1 ? shaped.scale : metric.scaleOf(values, shaped.integers);
      continue;
    }
    windows = search(values, table, scale, weights);
    const { inner, square } = products(values, windows, table, weights);
    scale = square === 0 ? 0 : inner / square;
    kept = (scale * inner) / energy;
  }
  const codes = packWindows(windows, table);
  if (!(scale > 0)) return { scale: 0, codes: codes.fill(0), energy, kept: 0 };
  return { scale: manner.rotation === "none" ? scale : scaleOfRotated(scale), codes, energy, kept };
}

/** The vector to code, or its rotation in shared memory that is valid until the next call. */
function prepared(
  vector: Float32Array,
  { rotation, weights }: Manner,
): { values: Float32Array; weights: Float32Array | undefined } {
  return rotation === "none"
    ? { values: vector, weights }
    : { values: rotateWeights(vector, scratch("rotated", vector.length)), weights: undefined };
}

/** Shared arrays for all vectors: separate ones would be garbage of several times the adapter. */
function scratch(use: keyof typeof shared, length: number): Float32Array {
  if (shared[use].length < length) shared[use] = new Float32Array(length);
  return shared[use].subarray(0, length);
}
const shared = { rotated: new Float32Array(0), scaled: new Float32Array(0) };

function search(
  values: Float32Array,
  table: TrellisTable,
  scale: number,
  weights: Float32Array | undefined,
): Uint8Array {
  const scaled = scratch("scaled", values.length);
  for (let i = 0; i < values.length; i++) scaled[i] = values[i]! / scale;
  return findWindows(scaled, table, weights, defaultEngine());
}

/** Σ w x² and its root mean. */
function squares(x: Float32Array, weights: Float32Array | undefined): { energy: number; mean: number } {
  let energy = 0;
  let total = 0;
  for (let i = 0; i < x.length; i++) {
    const weight = weights === undefined ? 1 : weights[i]!;
    energy += weight * x[i]! * x[i]!;
    total += weight;
  }
  return { energy, mean: total === 0 ? 0 : Math.sqrt(energy / total) };
}

/**
 * Σ w x t and Σ w t² for the integers t of the windows: the scale s that minimises Σ w (x − s t)² is their ratio.
 */
function products(
  x: Float32Array,
  windows: Uint8Array,
  { weightsPerStep, entries }: TrellisTable,
  weights: Float32Array | undefined,
): { inner: number; square: number } {
  let inner = 0;
  let square = 0;
  for (let i = 0, j = 0; i < x.length; j++) {
    const end = Math.min(i + weightsPerStep, x.length);
    for (let at = windows[j]! * weightsPerStep; i < end; i++, at++) {
      const t = entries[at]!;
      const weighted = weights === undefined ? t : weights[i]! * t;
      inner += x[i]! * weighted;
      square += t * weighted;
    }
  }
  return { inner, square };
}
