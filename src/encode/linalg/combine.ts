/**
 * Linear combinations of vectors that follow each other in one array.
 *
 * @module
 */
import { axpy, axpy4 } from "./vectors.ts";

/** x · coefficients: `length × count`. */
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
