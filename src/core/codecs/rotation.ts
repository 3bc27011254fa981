/**
 * The rotation of trellis-coded vectors (spec clause 8.6.1): a Walsh–Hadamard transform that spreads every weight over
 * 64, so that outlier channels and uneven variances become nearly normal, which is what the tables are made for.
 *
 * A vector of n weights is a matrix of 64 rows and c = ⌊n / 64⌋ columns, row after row, and a tail of n mod 64 weights.
 * Columns are transformed, the tail is not. Butterflies add and subtract whole rows. Signs of the rows come before the
 * transform on the way in and after it on the way out: without them a vector that hardly varies would end up in one
 * row. They are a bent function, whose own transform is flat. On integers the transform is exact, so that decoding
 * still rounds once.
 *
 * @module
 */

/** What may be done to a vector's weights before they are coded. */
export type Rotation = "none" | "hadamard64";

/** By number in an encoding record. */
export const ROTATIONS: readonly Rotation[] = ["none", "hadamard64"];

/** Rows: weights that are mixed with each other. */
const ROWS = 64;
/** √64: the transform stretches by it, so the tail, which is not transformed, is multiplied by it. */
const GAIN = 8;
/** A rotated integer is at most this many times the largest entry of a table. */
export const ROTATION_GROWTH: number = ROWS;

/** −1 for the rows whose signs are turned: r₀r₁ + r₂r₃ + r₄r₅ is odd. */
const SIGNS: readonly number[] = Array.from({ length: ROWS }, (_, row) => {
  const pairs = row & (row >> 1) & 0b010101;
  return ((pairs ^ (pairs >> 2) ^ (pairs >> 4)) & 1) === 1 ? -1 : 1;
});

/**
 * From the integers of a table to the integers that the scale multiplies, in place (decoder). It is linear, so sums of
 * vectors that are all rotated may be rotated instead of each of them.
 */
export function rotateIntegers(integers: Int16Array | Float32Array): void {
  const columns = Math.floor(integers.length / ROWS);
  transform(integers, columns);
  turnRows(integers, columns);
  for (let i = columns * ROWS; i < integers.length; i++) integers[i]! *= GAIN;
}

/**
 * The transpose of {@link rotateIntegers}, in place: a rotated vector times `x` is the vector before its rotation times
 * what this makes of `x`. Every sum is rounded to binary32.
 */
export function rotateTransposed(x: Float32Array): void {
  const columns = Math.floor(x.length / ROWS);
  turnRows(x, columns);
  transform(x, columns);
  for (let i = columns * ROWS; i < x.length; i++) x[i]! *= GAIN;
}

/**
 * From weights to what is to be coded, at a scale of {@link scaleOfRotated} (encoder). Lengths are kept: ‖x‖ stays.
 *
 * @param rotated takes the result, of the same length
 */
export function rotateWeights(
  weights: Float32Array,
  rotated: Float32Array = new Float32Array(weights.length),
): Float32Array {
  rotated.set(weights);
  const columns = Math.floor(weights.length / ROWS);
  turnRows(rotated, columns);
  transform(rotated, columns);
  for (let i = 0; i < columns * ROWS; i++) rotated[i]! /= GAIN;
  return rotated;
}

/** The scale to store, of the scale that the rotated weights were coded with. */
export function scaleOfRotated(scale: number): number {
  return scale / GAIN;
}

/** Columns times the 64 × 64 Hadamard matrix of Sylvester's order, not normalised. */
function transform(values: Int16Array | Float32Array, columns: number): void {
  for (let half = 1; half < ROWS; half *= 2)
    for (let row = 0; row < ROWS; row += 2 * half) {
      const end = (row + half) * columns;
      const apart = half * columns;
      for (let i = row * columns; i < end; i++) {
        const x = values[i]!;
        const y = values[i + apart]!;
        values[i] = x + y;
        values[i + apart] = x - y;
      }
    }
}

function turnRows(values: Int16Array | Float32Array, columns: number): void {
  for (const [row, sign] of SIGNS.entries()) {
    if (sign > 0) continue;
    for (let i = row * columns; i < (row + 1) * columns; i++) values[i] = -values[i]!;
  }
}
