import { createHash } from "node:crypto";
import fc from "fast-check";
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { describe, expect, it } from "vitest";
import { addProduct, addTransposedProduct } from "../../src/encode/linalg/panels.ts";
import { type TruncatedSvd, truncatedSvd } from "../../src/encode/linalg/randomized-svd.ts";
import {
  householderQr,
  multiply,
  orthogonalityError,
  randomMatrix,
  relativeDifference,
  thinQ,
  transpose,
} from "./matrices.ts";

/** A row-major matrix with these singular values. */
function withSpectrum(rows: number, columns: number, s: readonly number[], seed: number): Float32Array {
  const k = s.length;
  const u = thinQ(householderQr(randomMatrix(rows, k, seed), rows, k));
  const v = thinQ(householderQr(randomMatrix(columns, k, seed + 1), columns, k));
  const scaled = u.map((value, i) => value * s[Math.floor(i / rows)]!);
  return Float32Array.from(multiply(v, columns, k, transpose(scaled, rows, k), rows));
}

const spectrum = (count: number, at: (i: number) => number): number[] =>
  Array.from({ length: count }, (_, i) => at(i + 1));

/** Energy of the best approximation, by the singular values of ml-matrix. */
function bestEnergy(matrix: Float32Array, rows: number, columns: number, rank: number): number {
  const dense = new Matrix(rows, columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) dense.set(i, j, matrix[i * columns + j]!);
  const { diagonal } = new SingularValueDecomposition(dense, {
    autoTranspose: true,
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
  });
  return diagonal.slice(0, rank).reduce((sum, s) => sum + s * s, 0);
}

/** ‖M − U S Vᵀ‖², entry by entry. */
function residual(matrix: Float32Array, rows: number, columns: number, { k, u, s, v }: TruncatedSvd): number {
  const scaled = u.map((value, i) => value * s[Math.floor(i / rows)]!);
  // Column-major columns × rows is row-major rows × columns.
  const product = multiply(v, columns, k, transpose(scaled, rows, k), rows);
  return matrix.reduce((sum, value, i) => sum + (value - product[i]!) ** 2, 0);
}

describe("products with a large matrix", () => {
  it("are what they are", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(1, 3, 16, 255, 256, 257, 600),
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        fc.nat(),
        (short, long, count, tall, seed) => {
          const [rows, columns] = tall ? [long, short] : [short, long];
          const m = Float32Array.from(randomMatrix(columns, rows, seed));
          const asColumns = Float64Array.from(m);
          const x = randomMatrix(columns, count, seed + 1);
          const y = new Float64Array(rows * count);
          addProduct(m, rows, columns, x, count, y);
          const expected = multiply(transpose(asColumns, columns, rows), rows, columns, x, count);
          expect(relativeDifference(y, expected)).toBeLessThan(1e-12);
          const z = new Float64Array(columns * count).fill(1);
          addTransposedProduct(m, rows, columns, y, count, z);
          const back = multiply(asColumns, columns, rows, y, count).map((value) => value + 1);
          expect(relativeDifference(z, back)).toBeLessThan(1e-12);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("truncated SVD", () => {
  const decaying: [string, (i: number) => number][] = [
    ["geometric", (i) => 0.8 ** i],
    ["1/i", (i) => 1 / i],
    ["i^-0.7 with a floor", (i) => i ** -0.7 + 0.01],
  ];
  it.each(decaying)("captures what the exact SVD does: %s", (_name, at) => {
    for (const [rows, columns] of [
      [300, 220],
      [220, 300],
    ] as const) {
      const m = withSpectrum(rows, columns, spectrum(220, at), 1);
      const best = bestEnergy(m, rows, columns, 16);
      const found = truncatedSvd(m, rows, columns, { rank: 16 });
      expect(found.k).toBe(16);
      expect(found.products).toBeGreaterThan(0);
      expect(Math.abs(1 - found.captured / best)).toBeLessThan(1e-6);
      expect(orthogonalityError(found.u, rows, 16)).toBeLessThan(1e-9);
      expect(orthogonalityError(found.v, columns, 16)).toBeLessThan(1e-12);
      const left = residual(m, rows, columns, found);
      expect(Math.abs(left - (found.energy - found.captured))).toBeLessThan(1e-12 * found.energy);
    }
  });

  it("is near the best for a matrix without any structure", () => {
    const m = Float32Array.from(randomMatrix(400, 400, 5));
    const found = truncatedSvd(m, 400, 400, { rank: 32 });
    expect(found.captured / bestEnergy(m, 400, 400, 32)).toBeGreaterThan(0.98);
  });

  it("recovers singular values and an exact low rank", () => {
    const s = [9, 5, 4.5, 1, 0.25];
    for (const [rows, columns] of [
      [500, 200],
      [90, 130],
      [130, 90],
    ] as const) {
      const m = withSpectrum(rows, columns, s, 3);
      const found = truncatedSvd(m, rows, columns, { rank: 5 });
      expect(relativeDifference(found.s, Float64Array.from(s))).toBeLessThan(1e-6);
      expect(residual(m, rows, columns, found)).toBeLessThan(1e-13 * found.energy);
    }
  });

  it("returns fewer triplets where there are fewer", () => {
    const integers = new Float32Array(200 * 180);
    for (let i = 0; i < integers.length; i++)
      integers[i] = ((i % 180) % 7) - 3 + (Math.floor(i / 180) % 5) * ((i % 180) % 3);
    const found = truncatedSvd(integers, 200, 180, { rank: 20 });
    expect(found.k).toBe(2);
    expect(residual(integers, 200, 180, found)).toBeLessThan(1e-20 * found.energy);
    expect(truncatedSvd(new Float32Array(40000), 200, 200, { rank: 4 })).toMatchObject({ k: 0, energy: 0 });
    const single = truncatedSvd(Float32Array.of(0, -3), 1, 2, { rank: 9 });
    expect([single.k, single.s[0], single.u[0], single.v[1]]).toEqual([1, 3, 1, -1]);
  });

  it("finds more equal singular values than a block has vectors", () => {
    // 200 times the identity: every Krylov block is used up at once.
    const m = new Float32Array(200 * 200);
    for (let i = 0; i < 200; i++) m[201 * i] = 200;
    const found = truncatedSvd(m, 200, 200, { rank: 30 });
    expect(found.k).toBe(30);
    for (const s of found.s) expect(s).toBeCloseTo(200, 9);
    expect(orthogonalityError(found.v, 200, 30)).toBeLessThan(1e-12);
  });

  it("stops at a share of the energy", () => {
    const s = spectrum(200, (i) => 0.7 ** i);
    const m = withSpectrum(240, 200, s, 9);
    const total = s.reduce((sum, x) => sum + x * x, 0);
    for (const energy of [0.3, 0.9, 0.999, 1]) {
      let share = 0;
      const k = s.findIndex((x) => (share += x * x) >= energy * total) + 1 || 16;
      const found = truncatedSvd(m, 240, 200, { rank: 16, energy });
      expect(found.k).toBe(Math.min(k, 16));
      if (k <= 16) expect(found.captured / found.energy).toBeGreaterThanOrEqual(energy - 1e-6);
    }
  });

  it("does not depend on the scale", () => {
    const m = withSpectrum(
      200,
      200,
      spectrum(200, (i) => 1 / i),
      4,
    );
    const one = truncatedSvd(m, 200, 200, { rank: 8 });
    for (const power of [2 ** -100, 2 ** 100]) {
      const other = truncatedSvd(
        m.map((x) => x * power),
        200,
        200,
        { rank: 8 },
      );
      expect(
        relativeDifference(
          other.s,
          one.s.map((x) => x * power),
        ),
      ).toBeLessThan(1e-12);
    }
  });

  it("gives the same bytes on every engine", () => {
    // No Math.log in the input either.
    let state = 1;
    const m = Float32Array.from({ length: 260 * 240 }, (_, i) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state / 2 ** 32 - 0.5) / (1 + (i % 240));
    });
    const { u, s, v, products } = truncatedSvd(m, 260, 240, { rank: 8 });
    const hash = createHash("sha256");
    for (const part of [u, s, v]) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    expect({ products, hash: hash.digest("hex").slice(0, 16) }).toMatchInlineSnapshot(`
      {
        "hash": "164be0c3df242e78",
        "products": 72,
      }
    `);
  });
});
