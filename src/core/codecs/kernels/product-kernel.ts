/**
 * The product of two factors as a WebAssembly kernel with 128-bit SIMD (source: `product.as`), to the bits of `product.ts`. It is
 * a kernel of its own because only ΔW needs it.
 *
 * @module
 */
import { kernelMaker } from "../../wasm/instantiate.ts";
import { KernelMemory } from "../../wasm/memory.ts";
import { WASM_TEXT } from "./product.wasm.ts";

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

/** A block of A, and one of the product. */
const BLOCK_BYTES = 2 ** 18;

/** An instance with its memory. */
export class ProductKernel {
  readonly #kernel: Exports;
  readonly #memory: KernelMemory;

  private constructor(kernel: Exports & { readonly memory: WebAssembly.Memory }) {
    this.#kernel = kernel;
    this.#memory = new KernelMemory(kernel.memory);
  }

  /** A new one; `undefined` where there is none ({@link kernelMaker}). */
  static make(): ProductKernel | undefined {
    const kernel = newKernel();
    return kernel && new ProductKernel(kernel);
  }

  /**
   * B · A as `product.ts` defines it.
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
