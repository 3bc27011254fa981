/**
 * B · A in binary32 with a fixed order of operations: the same bits on every engine.
 *
 * Entry (o, i) is b[o][0] · a[0][i], plus b[o][k] · a[k][i] for k = 1, 2, … in this order. Every product and every sum rounds
 * to binary32; nothing is fused.
 *
 * @module
 */
import { KernelMemory, kernelMaker } from "../../common/wasm/kernel.ts";
import { WASM_TEXT } from "./kernels/product.wasm.ts";

/** Below this many multiplications the kernel costs more than it saves. */
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
      // Stores round to binary32. The sum rounds to binary64 before; that never changes the result.
      if (k === 0) for (let i = 0; i < columns; i++) row[i] = weight * a[i]!;
      else for (let i = 0; i < columns; i++) row[i]! += Math.fround(weight * a[from + i]!);
    }
  }
}

interface Exports {
  product(
    b: number,
    rows: number,
    rank: number,
    a: number,
    apart: number,
    columns: number,
    out: number,
  ): void;
}

const newKernel = kernelMaker<Exports>(WASM_TEXT);

/** Most bytes of a block of A, and of the rows of B and of the product that go with it. */
const BLOCK_BYTES = 2 ** 18;

/** An instance of the kernel, with its memory. */
export class ProductKernel {
  readonly #kernel: Exports;
  readonly #memory: KernelMemory;

  private constructor(kernel: Exports & { readonly memory: WebAssembly.Memory }) {
    this.#kernel = kernel;
    this.#memory = new KernelMemory(kernel.memory);
  }

  /** A new instance; undefined if {@link kernelMaker} makes none. */
  static make(): ProductKernel | undefined {
    const kernel = newKernel();
    return kernel && new ProductKernel(kernel);
  }

  /**
   * B · A as {@link multiplyPlainly} defines it.
   *
   * @returns false if the engine has no memory for it
   */
  product(b: Float32Array, rank: number, a: Float32Array, columns: number, out: Float32Array): boolean {
    const rows = b.length / rank;
    // A block of columns of A stays in the second cache while rows of B pass.
    const wide = Math.min(columns, Math.max(16, Math.floor(BLOCK_BYTES / (4 * rank)) & ~15));
    const high = Math.min(rows, Math.max(4, Math.floor(BLOCK_BYTES / (4 * (wide + rank)))));
    const bAt = 4 * rank * wide;
    const outAt = bAt + 4 * rank * high;
    if (!this.#memory.reserve(outAt + 4 * wide * high)) return false;
    const { words } = this.#memory;
    for (let column = 0; column < columns; column += wide) {
      const count = Math.min(wide, columns - column);
      for (let k = 0; k < rank; k++) {
        const from = k * columns + column;
        words.set(a.subarray(from, from + count), k * count);
      }
      for (let row = 0; row < rows; row += high) {
        const n = Math.min(high, rows - row);
        words.set(b.subarray(row * rank, (row + n) * rank), bAt / 4);
        this.#kernel.product(bAt, n, rank, 0, 4 * count, count, outAt);
        for (let r = 0; r < n; r++) {
          const from = outAt / 4 + r * count;
          out.set(words.subarray(from, from + count), (row + r) * columns + column);
        }
      }
    }
    return true;
  }
}
