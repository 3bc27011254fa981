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

/** y += Σ weights[wAt + j] · x_j for four vectors at `xAt`, `xAt + stride`, … */
export function axpy4(
  x: Float64Array,
  xAt: number,
  stride: number,
  weights: Float64Array,
  wAt: number,
  y: Float64Array,
  yAt: number,
  length: number,
): void {
  const w0 = weights[wAt]!;
  const w1 = weights[wAt + 1]!;
  const w2 = weights[wAt + 2]!;
  const w3 = weights[wAt + 3]!;
  const x1 = xAt + stride;
  const x2 = x1 + stride;
  const x3 = x2 + stride;
  for (let i = 0; i < length; i++) {
    y[yAt + i]! += w0 * x[xAt + i]! + w1 * x[x1 + i]! + (w2 * x[x2 + i]! + w3 * x[x3 + i]!);
  }
}

/** x · coefficients: `length × count`, for vectors that follow each other in one array. */
export function combine(
  x: Float64Array,
  length: number,
  size: number,
  coefficients: Float64Array,
  count: number,
): Float64Array {
  const out = new Float64Array(length * count);
  for (let j = 0; j < count; j++) addCombination(x, length, size, coefficients, j * size, out, j * length);
  return out;
}

function addCombination(
  x: Float64Array,
  length: number,
  size: number,
  weights: Float64Array,
  wAt: number,
  y: Float64Array,
  yAt: number,
): void {
  let i = 0;
  for (; i + 4 <= size; i += 4) axpy4(x, i * length, length, weights, wAt + i, y, yAt, length);
  for (; i < size; i++) axpy(x, i * length, weights[wAt + i]!, y, yAt, length);
}
