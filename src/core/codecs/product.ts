/**
 * B · A in binary32 with a fixed order of operations: the same bits on every engine.
 *
 * Entry (o, i) begins as b[o][0] · a[0][i]; b[o][k] · a[k][i] is added for k = 1, 2, … in this order. Every product and
 * every sum is rounded to binary32; nothing is fused.
 *
 * @module
 */
import { ProductKernel } from "./kernels/product-kernel.ts";

/** Below so many multiplications a kernel is not worth its instance. */
const KERNEL_PRODUCTS = 2 ** 16;

/**
 * Writes B · A to `out`, `[rows][columns]`.
 *
 * @param b `[rows][rank]`
 * @param a `[rank][columns]`
 */
export function multiplyFactors(
  b: Float32Array,
  rank: number,
  a: Float32Array,
  columns: number,
  out: Float32Array,
): void {
  if (b.length * columns >= KERNEL_PRODUCTS && ProductKernel.make()?.product(b, rank, a, columns, out))
    return;
  multiplyPlainly(b, rank, a, columns, out);
}

/** As {@link multiplyFactors}, in plain TypeScript. */
export function multiplyPlainly(
  b: Float32Array,
  rank: number,
  a: Float32Array,
  columns: number,
  out: Float32Array,
): void {
  for (let o = 0; o < b.length / rank; o++) {
    const row = out.subarray(o * columns, (o + 1) * columns);
    for (let k = 0; k < rank; k++) {
      const weight = b[o * rank + k]!;
      const from = k * columns;
      // What is stored is rounded to binary32: binary64 is wide enough that rounding twice does not show.
      if (k === 0) for (let i = 0; i < columns; i++) row[i] = weight * a[i]!;
      else for (let i = 0; i < columns; i++) row[i]! += Math.fround(weight * a[from + i]!);
    }
  }
}
