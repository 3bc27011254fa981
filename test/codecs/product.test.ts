/** B · A is defined by the order of its additions: every entry has the bits of the sum as it is written down here. */
import { describe, expect, it } from "vitest";
import { multiplyFactors, multiplyPlainly, ProductKernel } from "../../src/core/codecs/product.ts";
import { random } from "../container/fixtures.ts";
import { uniform } from "../helpers/random.ts";

/** Each product and each sum rounded to binary32, one after the other. */
function asDefined(b: Float32Array, rank: number, a: Float32Array, columns: number): Float32Array {
  const out = new Float32Array((b.length / rank) * columns);
  for (let o = 0; o < b.length / rank; o++)
    for (let i = 0; i < columns; i++) {
      let sum = Math.fround(b[o * rank]! * a[i]!);
      for (let k = 1; k < rank; k++)
        sum = Math.fround(sum + Math.fround(b[o * rank + k]! * a[k * columns + i]!));
      out[o * columns + i] = sum;
    }
  return out;
}

const SIZES = [
  [1, 1, 1],
  [3, 1, 5],
  [1, 4, 7],
  [5, 3, 2],
  [9, 8, 17],
  // A kernel is worth its instance from 2^16 products on.
  [16, 16, 255],
  [16, 16, 256],
  [17, 16, 257],
] as const;

describe.each(SIZES)("%i rows, rank %i, %i columns", (rows, rank, columns) => {
  const next = uniform(rows * 10_000 + columns);
  const any = (length: number) =>
    Float32Array.from({ length }, () => (next() - 0.5) * 2 ** Math.floor(8 * next()));
  const [b, a] = [any(rows * rank), any(rank * columns)];
  const expected = asDefined(b, rank, a, columns);

  it("has the bits of the definition, with every engine, and what was there before does not matter", () => {
    for (const multiply of [multiplyFactors, multiplyPlainly]) {
      const out = new Float32Array(rows * columns + 1).fill(Number.NaN);
      multiply(b, rank, a, columns, out.subarray(0, rows * columns));
      expect(new Uint32Array(out.buffer, 0, expected.length)).toEqual(new Uint32Array(expected.buffer));
      expect(out.at(-1)).toBeNaN();
    }
  });

  it("is left to a kernel if it is large", () => {
    const { product } = ProductKernel.prototype;
    let calls = 0;
    ProductKernel.prototype.product = function (...job) {
      calls++;
      return product.apply(this, job);
    };
    try {
      multiplyFactors(b, rank, a, columns, new Float32Array(rows * columns));
    } finally {
      ProductKernel.prototype.product = product;
    }
    expect(calls).toBe(rows * rank * columns >= 2 ** 16 ? 1 : 0);
  });
});

it("has the bits of the plain loops, for all sizes around those of the kernel", () => {
  const r = random(5);
  const floats = (n: number): Float32Array =>
    Float32Array.from({ length: n }, () => (r.below(2 ** 16) - 2 ** 15) / 2 ** (r.below(30) - 5));
  const sizes: [number, number, number][] = [];
  for (let i = 0; i < 40; i++) sizes.push([1 + r.below(70), 1 + r.below(20), 1 + r.below(150)]);
  sizes.push([300, 16, 700], [257, 1, 4099], [1, 3, 30_000], [5, 600, 50], [4097, 2, 17]);
  for (const [rows, rank, columns] of sizes) {
    const [b, a] = [floats(rows * rank), floats(rank * columns)];
    const [fast, plain] = [new Float32Array(rows * columns), new Float32Array(rows * columns)];
    multiplyFactors(b, rank, a, columns, fast);
    multiplyPlainly(b, rank, a, columns, plain);
    const different = Buffer.compare(Buffer.from(fast.buffer), Buffer.from(plain.buffer));
    expect(different, `${rows} × ${rank} × ${columns}`).toBe(0);
  }
});
