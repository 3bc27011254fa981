import fc from "fast-check";
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { describe, expect, it } from "vitest";
import { symmetricEigen } from "../../src/encode/linalg/eigen.ts";
import { multiply, orthogonalityError, randomMatrix, relativeDifference } from "./matrices.ts";

function symmetric(n: number, seed: number, scale = 1): Float64Array {
  const x = randomMatrix(n, n, seed, scale);
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) x[i * n + j] = x[j * n + i]!;
  return x;
}

function check(x: Float64Array, n: number): Float64Array {
  const { values, vectors } = symmetricEigen(x, n);
  expect(orthogonalityError(vectors, n, n)).toBeLessThan(1e-13);
  for (let i = 1; i < n; i++) expect(values[i]).toBeLessThanOrEqual(values[i - 1]!);
  const scaled = vectors.map((value, i) => value * values[Math.floor(i / n)]!);
  expect(relativeDifference(scaled, multiply(x, n, n, vectors, n))).toBeLessThan(1e-12);
  return values;
}

describe("eigenvalues of symmetric matrices", () => {
  it("holds for any size and scale", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 24 }),
        fc.nat(),
        fc.constantFrom(1, 1e-80, 1e80),
        (n, seed, scale) => void check(symmetric(n, seed, scale), n),
      ),
    );
    check(symmetric(150, 3), 150);
  });

  it("agrees with ml-matrix", () => {
    const x = symmetric(40, 7);
    const dense = new Matrix(40, 40);
    for (let i = 0; i < 40; i++) for (let j = 0; j < 40; j++) dense.set(i, j, x[j * 40 + i]!);
    const oracle = [...new EigenvalueDecomposition(dense, { assumeSymmetric: true }).realEigenvalues];
    expect(relativeDifference(check(x, 40), Float64Array.from(oracle.sort((a, b) => b - a)))).toBeLessThan(
      1e-13,
    );
  });

  it("holds for zero, diagonal, equal and rank-deficient cases", () => {
    expect([...check(new Float64Array(25), 5)]).toEqual([0, 0, 0, 0, 0]);
    const diagonal = new Float64Array(16);
    [2, -8, 0, 4].forEach((value, i) => {
      diagonal[5 * i] = value;
    });
    expect([...check(diagonal, 4)]).toEqual([4, 2, 0, -8]);
    const ones = new Float64Array(36).fill(1);
    expect(relativeDifference(check(ones, 6), Float64Array.of(6, 0, 0, 0, 0, 0))).toBeLessThan(1e-15);
  });

  it("ends for NaN and Inf", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const x = symmetric(12, 1);
      x[20] = bad;
      expect(symmetricEigen(x, 12).values).toHaveLength(12);
    }
  });
});
