/**
 * ΔW of a module, computed plainly, for tests.
 *
 * @module
 */
import { inputLength, type LoraModule } from "../../src/core/index.ts";

/** ΔW as (experts, out, in · kernel), in binary64. */
export function deltaOf(module: LoraModule): Float64Array {
  const { a, b, experts, out, rank, multiplier } = module;
  const length = inputLength(module);
  const delta = new Float64Array(experts * out * length);
  for (let row = 0; row < experts * out; row++) {
    const expert = Math.floor(row / out);
    for (let r = 0; r < rank; r++) {
      const from = (expert * rank + r) * length;
      for (let i = 0; i < length; i++) delta[row * length + i]! += b[row * rank + r]! * a[from + i]!;
    }
  }
  return delta.map((value) => multiplier * value);
}

/** Largest difference of two arrays, as a share of the largest value of the first; 0 means the same numbers. */
export function difference(x: Float64Array, y: Float64Array): number {
  if (x.length !== y.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  let largest = 0;
  for (let i = 0; i < x.length; i++) {
    most = Math.max(most, Math.abs(x[i]! - y[i]!));
    largest = Math.max(largest, Math.abs(x[i]!));
  }
  return most === 0 ? 0 : most / largest;
}
