import fc from "fast-check";
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { describe, expect, it } from "vitest";
import {
  jacobiSvd,
  multiply,
  orthogonalityError,
  randomMatrix,
  relativeDifference,
  transposeColumns,
} from "./matrices.ts";

function check(x: Float64Array, rows: number, columns: number): Float64Array {
  const { k, u, s, v } = jacobiSvd(x, rows, columns);
  expect(k).toBe(Math.min(rows, columns));
  expect(orthogonalityError(u, rows, k)).toBeLessThan(1e-13);
  expect(orthogonalityError(v, columns, k)).toBeLessThan(1e-13);
  for (let i = 1; i < k; i++) expect(s[i]).toBeLessThanOrEqual(s[i - 1]!);
  const scaled = u.map((value, i) => value * s[Math.floor(i / rows)]!);
  const back = multiply(scaled, rows, k, transposeColumns(v, columns, k), columns);
  expect(relativeDifference(back, x)).toBeLessThan(1e-13);
  return s;
}

describe("Jacobi SVD", () => {
  it("decomposes any shape at any scale", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 24 }),
        fc.integer({ min: 1, max: 24 }),
        fc.nat(),
        fc.constantFrom(1, 1e-30, 1e30, 1e-200, 1e200),
        (rows, columns, seed, scale) => {
          check(randomMatrix(rows, columns, seed, scale), rows, columns);
        },
      ),
    );
  });

  it("agrees with ml-matrix on the singular values", () => {
    for (const [rows, columns, seed] of [
      [16, 16, 1],
      [30, 8, 2],
      [7, 19, 3],
      [64, 64, 4],
    ] as const) {
      const x = randomMatrix(rows, columns, seed);
      const s = check(x, rows, columns);
      const dense = new Matrix(rows, columns);
      for (let j = 0; j < columns; j++) for (let i = 0; i < rows; i++) dense.set(i, j, x[j * rows + i]!);
      const oracle = new SingularValueDecomposition(dense, { autoTranspose: true }).diagonal;
      expect(relativeDifference(s, Float64Array.from(oracle))).toBeLessThan(1e-13);
    }
  });

  it("finds the exact rank of zero, rank-1 and diagonal matrices", () => {
    expect([...check(new Float64Array(25), 5, 5)]).toEqual([0, 0, 0, 0, 0]);
    const rank1 = check(multiply(randomMatrix(9, 1, 1), 9, 1, randomMatrix(1, 9, 2), 9), 9, 9);
    expect(rank1[1]! / rank1[0]!).toBeLessThan(1e-15);
    const diagonal = new Float64Array(16);
    [2, -8, 0, 4].forEach((value, i) => {
      diagonal[5 * i] = value;
    });
    expect([...check(diagonal, 4, 4)]).toEqual([8, 4, 2, 0]);
  });

  it("holds for steep spectra and for low rank with a tail of rounding errors", () => {
    check(
      randomMatrix(12, 12, 5).map((value, i) => value * 10 ** -Math.floor(i / 12)),
      12,
      12,
    );
    const steep = randomMatrix(96, 96, 6).map(
      (value, i) => value * 0.7 ** Math.floor(i / 96) * 0.7 ** (i % 96),
    );
    check(steep, 96, 96);
    const s = check(multiply(randomMatrix(96, 20, 7), 96, 20, randomMatrix(20, 96, 8), 96), 96, 96);
    expect(s[19]! / s[0]!).toBeGreaterThan(0.01);
    expect(s[20]! / s[0]!).toBeLessThan(1e-14);
  });

  it("gives the same bits each time", () => {
    const x = randomMatrix(16, 16, 6);
    expect(jacobiSvd(x, 16, 16)).toEqual(jacobiSvd(x.slice(), 16, 16));
  });

  it("ends for NaN and Inf", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const x = randomMatrix(12, 12, 1);
      x[20] = bad;
      expect(jacobiSvd(x, 12, 12).k).toBe(12);
      expect(jacobiSvd(x.fill(bad), 12, 12).k).toBe(12);
    }
  });
});
