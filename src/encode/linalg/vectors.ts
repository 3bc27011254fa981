/**
 * The inner loops of the linear algebra: dot products and axpy on slices of Float64Arrays, in a fixed order of
 * summation.
 *
 * A single running sum waits four cycles per addition; the four-column forms keep four sums in flight and read
 * the shared vector once. Sums run from first to last, so that every engine gives the same bits.
 *
 * @module
 */

const sums = new Float64Array(4);

/** Σ x[i]·y[i] over `length` entries from `xAt` and `yAt` on. */
export function dot(x: Float64Array, xAt: number, y: Float64Array, yAt: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += x[xAt + i]! * y[yAt + i]!;
  return sum;
}

/**
 * Four dot products of one x with the vectors at `yAt`, `yAt + stride`, …
 *
 * @returns a shared array of 4, valid until the next call
 */
export function dot4(
  x: Float64Array,
  xAt: number,
  y: Float64Array,
  yAt: number,
  stride: number,
  length: number,
): Float64Array {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  const y1 = yAt + stride;
  const y2 = y1 + stride;
  const y3 = y2 + stride;
  for (let i = 0; i < length; i++) {
    const value = x[xAt + i]!;
    s0 += value * y[yAt + i]!;
    s1 += value * y[y1 + i]!;
    s2 += value * y[y2 + i]!;
    s3 += value * y[y3 + i]!;
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
  return sums;
}

/** y += factor · x. */
export function axpy(
  x: Float64Array,
  xAt: number,
  factor: number,
  y: Float64Array,
  yAt: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) y[yAt + i]! += factor * x[xAt + i]!;
}
