/**
 * The rotation of trellis-coded vectors (spec clause 8.6.1): a Walsh–Hadamard transform that spreads every weight over
 * 64, so that weights with outlier channels and uneven variances become nearly normal, as the tables assume.
 *
 * A vector of n weights is a matrix of 64 rows and c = ⌊n / 64⌋ columns, row after row, and a tail of n mod 64 weights. The
 * rotation transforms the columns and not the tail. Butterflies add and subtract whole rows. The encoder changes the signs of
 * some rows before the transform, and the decoder after it: otherwise a nearly constant vector would end up in one row. The
 * signs are a bent function, whose own transform is flat. On integers the transform is exact, so decoding rounds only once.
 *
 * @module
 */

/** The rotation that an encoder applies to a vector before it codes it. */
export type Rotation = "none" | "hadamard64";

/** Rotations by their number in an encoding record. */
export const ROTATIONS: readonly Rotation[] = ["none", "hadamard64"];

/** Rows: the rotation mixes this many weights with each other. */
const ROWS = 64;
/** √64: the transform stretches columns by it, so the decoder multiplies the tail by it. */
const GAIN = 8;
/** A rotated integer is at most this many times the largest entry of a table. */
export const ROTATION_GROWTH: number = ROWS;

/** −1 for the rows whose signs change: those where r₀r₁ + r₂r₃ + r₄r₅ is odd. */
const SIGNS: readonly number[] = Array.from({ length: ROWS }, (_, row) => {
  const pairs = row & (row >> 1) & 0b010101;
  return ((pairs ^ (pairs >> 2) ^ (pairs >> 4)) & 1) === 1 ? -1 : 1;
});

/**
 * Turns the integers of a table into the integers that the scale multiplies, in place (decoder). It is linear, so a caller may
 * rotate a sum of vectors instead of each vector.
 */
export function rotateIntegers(integers: Int16Array | Float32Array): void {
  const columns = Math.floor(integers.length / ROWS);
  transform(integers, columns);
  turnRows(integers, columns);
  for (let i = columns * ROWS; i < integers.length; i++) integers[i]! *= GAIN;
}

/**
 * The transpose Rᵀ of {@link rotateIntegers}, in place: (R v) · x = v · (Rᵀ x). Every sum rounds to binary32.
 */
export function rotateTransposed(x: Float32Array): void {
  const columns = Math.floor(x.length / ROWS);
  turnRows(x, columns);
  transform(x, columns);
  for (let i = columns * ROWS; i < x.length; i++) x[i]! *= GAIN;
}

/**
 * Turns weights into the values to code (encoder). It preserves the norm. Store the scale of {@link scaleOfRotated}.
 *
 * @param rotated receives the result; has the length of `weights`
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

/** The scale to store for rotated weights that were coded with `scale`. */
export function scaleOfRotated(scale: number): number {
  return scale / GAIN;
}

/** Multiplies the columns by the 64 × 64 Hadamard matrix in Sylvester's order, not normalized. */
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
