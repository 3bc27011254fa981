import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  applyQ,
  householderQr,
  multiply,
  orthogonalityError,
  randomMatrix,
  relativeDifference,
} from "./matrices.ts";

/** The explicit thin Q (rows × k, column-major). */
function thinQ(qr: ReturnType<typeof householderQr>): Float64Array {
  const identity = new Float64Array(qr.k * qr.k);
  for (let i = 0; i < qr.k; i++) identity[i * qr.k + i] = 1;
  return applyQ(qr, identity, qr.k);
}

function check(x: Float64Array, rows: number, columns: number): void {
  const before = x.slice();
  const qr = householderQr(x, rows, columns);
  expect(x).toEqual(before);
  expect(qr.k).toBe(Math.min(rows, columns));
  const q = thinQ(qr);
  expect(orthogonalityError(q, rows, qr.k)).toBeLessThan(1e-13);
  expect(relativeDifference(multiply(q, rows, qr.k, qr.r, columns), x)).toBeLessThan(1e-13);
  for (let c = 0; c < columns; c++) {
    for (let i = c + 1; i < qr.k; i++) expect(qr.r[c * qr.k + i]).toBe(0);
  }
}

describe("Householder QR", () => {
  it("gives orthonormal columns and an upper triangle whose product is the matrix", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.nat(),
        fc.constantFrom(1, 1e-30, 1e30),
        (rows, columns, seed, scale) => check(randomMatrix(rows, columns, seed, scale), rows, columns),
      ),
    );
  });

  it("holds for rank 1, repeated, zero and all-zero columns", () => {
    const column = randomMatrix(50, 1, 1);
    const repeated = new Float64Array(50 * 6);
    for (const c of [0, 1, 3, 5]) repeated.set(column, c * 50);
    check(repeated, 50, 6);
    check(new Float64Array(50 * 6), 50, 6);
    check(new Float64Array(6), 1, 6);
  });

  it("holds at the size of a layer", () => check(randomMatrix(4096, 16, 7), 4096, 16));

  it("applies Q to any small matrix", () => {
    const qr = householderQr(randomMatrix(40, 7, 3), 40, 7);
    const c = randomMatrix(7, 3, 4);
    expect(relativeDifference(applyQ(qr, c, 3), multiply(thinQ(qr), 40, 7, c, 3))).toBeLessThan(1e-14);
  });

  it("ends for NaN and Inf", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const x = randomMatrix(20, 5, 1);
      x[33] = bad;
      expect(thinQ(householderQr(x, 20, 5)).length).toBe(100);
    }
  });
});
