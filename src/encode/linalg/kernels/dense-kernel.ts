/**
 * The dense engine as a WebAssembly kernel with 128-bit SIMD (source: `dense.as`, contract: `engine.ts`).
 *
 * 4096 × 16, copies included: QR takes 0.52 ms, Q · C 0.24, the Gram matrix of two of them 0.28 to 0.31 (6, 9 and 14 GFLOP/s;
 * four scalar sums in the L1 cache reach 4.8). The plain engine takes 2.4, 1.2 and 2.6 (Node 20, one core of a shared server,
 * 2026-11-25). The Gram matrix and Q · C do 16 operations per 6 loads; QR is slower because it reads and writes the matrix once
 * per column.
 *
 * Its memory holds one matrix, or two for `gram`, and is released after large ones; nothing is kept between calls.
 *
 * @module
 */
import { growTo, kernelMaker } from "../../../common/wasm/kernel.ts";
import { type DenseEngine, type DenseMatrix, padded, type Reflectors, STRIP, stripWidth } from "../engine.ts";
import { WASM_TEXT } from "./dense.wasm.ts";

type Pack = (from: number, step: number, rows: number, columns: number, to: number, row: number) => void;

interface Exports {
  packColumnsF32: Pack;
  packColumnsF64: Pack;
  packRowsF32: Pack;
  pad(to: number, rows: number, row: number, from: number): void;
  factor(
    x: number,
    rows: number,
    columns: number,
    tau: number,
    r: number,
    inner: number,
    scratch: number,
  ): void;
  subtract(
    u: number,
    rows: number,
    columns: number,
    c: number,
    cRows: number,
    w: number,
    count: number,
    out: number,
  ): void;
  gram(x: number, rows: number, row: number, g: number): void;
  rotateAll(matrix: number, rotations: number, k: number): number;
}

/** A memory above this is released after the call. */
const KEPT_BYTES = 2 ** 26;
/** Most bytes of memory; the plain engine handles larger matrices. */
const MOST_BYTES = 2 ** 31;
/** Bytes of the rows over which products are summed at a time: they stay in the L1 cache. */
const BLOCK_BYTES = 16384;

const newKernel = kernelMaker<Exports>(WASM_TEXT);

/**
 * Makes an engine; `undefined` if WebAssembly with SIMD is unavailable.
 *
 * @param fallback handles matrices for which there is not enough memory
 */
export function denseKernelEngine(fallback: DenseEngine): DenseEngine | undefined {
  let kernel = newKernel();
  if (kernel === undefined) return undefined;
  let used = 0;
  return { factor, subtract, times, gram, rotateAll };

  /** A kernel with this much memory, or `undefined`. Forgets previous contents. */
  function begin(bytes: number): ReturnType<typeof newKernel> {
    if (bytes > MOST_BYTES) return undefined;
    kernel ??= newKernel();
    used = 0;
    return growTo(kernel!.memory, bytes) ? kernel : undefined;
  }

  function end(): void {
    if (kernel!.memory.buffer.byteLength > KEPT_BYTES) kernel = undefined;
  }

  function take(bytes: number): number {
    const at = used;
    used += (bytes + 15) & ~15;
    return at;
  }

  function numbers(at: number, count: number): Float64Array {
    return new Float64Array(kernel!.memory.buffer, at, count);
  }

  /** Copies a matrix unchanged. */
  function hold({ values, rows, columns }: DenseMatrix): number {
    const at = take(values.BYTES_PER_ELEMENT * rows * columns);
    const Values = values instanceof Float32Array ? Float32Array : Float64Array;
    new Values(kernel!.memory.buffer, at, rows * columns).set(values.subarray(0, rows * columns));
    return at;
  }

  /** Packs rows `first` … of `count` columns from `from` on of a held matrix into rows of `row` bytes. */
  function pack(
    { values, order, rows, columns }: DenseMatrix,
    at: number,
    first: number,
    size: number,
    from: number,
    count: number,
    to: number,
    row: number,
  ): void {
    const bytes = values.BYTES_PER_ELEMENT;
    if (order === "rows") {
      kernel!.packRowsF32(at + bytes * (first * columns + from), bytes * columns, size, count, to, row);
    } else {
      const packColumns = bytes === 4 ? kernel!.packColumnsF32 : kernel!.packColumnsF64;
      packColumns(at + bytes * (from * rows + first), bytes * rows, size, count, to, row);
    }
  }

  /** Copies a matrix into strips. */
  function holdStrips(matrix: DenseMatrix): number {
    const { rows, columns } = matrix;
    const source = hold(matrix);
    const strips = take(8 * rows * padded(columns));
    for (let from = 0; from < columns; from += STRIP) {
      const row = 8 * stripWidth(columns, from);
      const count = Math.min(columns - from, STRIP);
      const to = strips + 8 * from * rows;
      pack(matrix, source, 0, rows, from, count, to, row);
      kernel!.pad(to, rows, row, count);
    }
    return strips;
  }

  function factor(matrix: DenseMatrix): Reflectors {
    const { rows, columns } = matrix;
    const k = Math.min(rows, columns);
    const width = padded(columns);
    const bytes = 8 * (2 * rows * width + k * (columns + k + 1) + 2 * width) + 256;
    if (begin(bytes) === undefined) return fallback.factor(matrix);
    const u = holdStrips(matrix);
    const tau = take(8 * k);
    const r = take(8 * k * columns);
    const inner = take(8 * k * k);
    numbers(tau, (used - tau) / 8).fill(0);
    kernel!.factor(u, rows, columns, tau, r, inner, take(32 + 16 * width));
    const result = {
      u: numbers(u, rows * width).slice(),
      tau: numbers(tau, k).slice(),
      r: numbers(r, k * columns).slice(),
      inner: numbers(inner, k * k).slice(),
    };
    end();
    return result;
  }

  function subtract(
    u: Float64Array,
    rows: number,
    columns: number,
    c: Float64Array,
    cRows: number,
    w: Float64Array,
    count: number,
  ): Float64Array {
    const stride = padded(count);
    const bytes = 8 * (rows * stride + u.length + c.length + w.length) + 64;
    if (begin(bytes) === undefined) return fallback.subtract(u, rows, columns, c, cRows, w, count);
    const [uAt, cAt, wAt] = [u, c, w].map((values) => {
      const at = take(8 * values.length);
      numbers(at, values.length).set(values);
      return at;
    });
    const out = take(8 * rows * stride);
    kernel!.subtract(uAt!, rows, columns, cAt!, cRows, wAt!, stride, out);
    const result = numbers(out, rows * count).slice();
    end();
    return result;
  }

  function times(x: DenseMatrix, w: Float64Array, count: number): Float64Array {
    const { rows, columns } = x;
    const stride = padded(count);
    const bytes = 8 * (rows * (2 * padded(columns) + stride) + w.length) + 64;
    if (begin(bytes) === undefined) return fallback.times(x, w, count);
    const strips = holdStrips(x);
    const weights = take(8 * w.length);
    const negative = numbers(weights, w.length);
    for (let i = 0; i < w.length; i++) negative[i] = -w[i]!;
    const out = take(8 * rows * stride);
    kernel!.subtract(strips, rows, columns, 0, 0, weights, stride, out);
    const product = numbers(out, rows * count).slice();
    end();
    return product;
  }

  function gram(matrices: readonly DenseMatrix[]): Float64Array {
    const rows = matrices[0]!.rows;
    const n = matrices.reduce((sum, { columns }) => sum + columns, 0);
    const width = padded(n);
    const row = 8 * width;
    const blockRows = Math.min(Math.max(4, Math.floor(BLOCK_BYTES / row)), rows);
    const bytes = 8 * n * rows + row * (width + blockRows) + 16 * matrices.length + 64;
    if (begin(bytes) === undefined) return fallback.gram(matrices);
    const held = matrices.map(hold);
    const sums = take(row * width);
    const block = take(row * blockRows);
    numbers(sums, width * width).fill(0);
    for (let first = 0; first < rows; first += blockRows) {
      const size = Math.min(blockRows, rows - first);
      let from = 0;
      for (const [m, matrix] of matrices.entries()) {
        pack(matrix, held[m]!, first, size, 0, matrix.columns, block + 8 * from, row);
        from += matrix.columns;
      }
      kernel!.pad(block, size, row, n);
      kernel!.gram(block, size, row, sums);
    }
    const found = numbers(sums, width * width);
    const out = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = i; j < n; j++) out[i * n + j] = out[j * n + i] = found[i * width + j]!;
    }
    end();
    return out;
  }

  function rotateAll(matrix: Float64Array, rotations: Float64Array, k: number): boolean {
    if (begin(16 * k * k) === undefined) return fallback.rotateAll(matrix, rotations, k);
    const [matrixAt, rotationsAt] = [take(8 * k * k), take(8 * k * k)];
    numbers(matrixAt, k * k).set(matrix);
    numbers(rotationsAt, k * k).set(rotations);
    const rotated = kernel!.rotateAll(matrixAt, rotationsAt, k) !== 0;
    matrix.set(numbers(matrixAt, k * k));
    rotations.set(numbers(rotationsAt, k * k));
    end();
    return rotated;
  }
}
