/** QR, SVD, products of low-rank matrices, and the components that the encoder makes of a module with them. */
import fc from "fast-check";
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { describe, expect, it } from "vitest";
import { inputLength, type LoraModule } from "../../src/core/index.ts";
import type { DenseMatrix } from "../../src/encode/linalg/engine.ts";
import { differenceEnergy, type LowRank, pairEnergies, pairGram } from "../../src/encode/linalg/gram.ts";
import { applyQ, householderQr } from "../../src/encode/linalg/qr.ts";
import { jacobiSvd, transposeColumns } from "../../src/encode/linalg/svd.ts";
import { reparameterize } from "../../src/encode/quantize/reparameterize.ts";
import { dense as denseOf, makeModule } from "../quantize/modules.ts";
import { multiply, orthogonalityError, randomMatrix, relativeDifference } from "./matrices.ts";

/** The explicit thin Q (rows × k, column-major). */
function thinQ(qr: ReturnType<typeof householderQr>): Float64Array {
  const identity = new Float64Array(qr.k * qr.k);
  for (let i = 0; i < qr.k; i++) identity[i * qr.k + i] = 1;
  return applyQ(qr, identity, qr.k);
}

function checkQr(x: Float64Array, rows: number, columns: number): void {
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
        (rows, columns, seed, scale) => checkQr(randomMatrix(rows, columns, seed, scale), rows, columns),
      ),
    );
  });

  it("holds for rank 1, repeated, zero and all-zero columns", () => {
    const column = randomMatrix(50, 1, 1);
    const repeated = new Float64Array(50 * 6);
    for (const c of [0, 1, 3, 5]) repeated.set(column, c * 50);
    checkQr(repeated, 50, 6);
    checkQr(new Float64Array(50 * 6), 50, 6);
    checkQr(new Float64Array(6), 1, 6);
  });

  it("holds at the size of a layer", () => checkQr(randomMatrix(4096, 16, 7), 4096, 16));

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

function checkSvd(x: Float64Array, rows: number, columns: number): Float64Array {
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
          checkSvd(randomMatrix(rows, columns, seed, scale), rows, columns);
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
      const s = checkSvd(x, rows, columns);
      const dense = new Matrix(rows, columns);
      for (let j = 0; j < columns; j++) for (let i = 0; i < rows; i++) dense.set(i, j, x[j * rows + i]!);
      const oracle = new SingularValueDecomposition(dense, { autoTranspose: true }).diagonal;
      expect(relativeDifference(s, Float64Array.from(oracle))).toBeLessThan(1e-13);
    }
  });

  it("finds the exact rank of zero, rank-1 and diagonal matrices", () => {
    expect([...checkSvd(new Float64Array(25), 5, 5)]).toEqual([0, 0, 0, 0, 0]);
    const rank1 = checkSvd(multiply(randomMatrix(9, 1, 1), 9, 1, randomMatrix(1, 9, 2), 9), 9, 9);
    expect(rank1[1]! / rank1[0]!).toBeLessThan(1e-15);
    const diagonal = new Float64Array(16);
    [2, -8, 0, 4].forEach((value, i) => {
      diagonal[5 * i] = value;
    });
    expect([...checkSvd(diagonal, 4, 4)]).toEqual([8, 4, 2, 0]);
  });

  it("holds for steep spectra and for low rank with a tail of rounding errors", () => {
    checkSvd(
      randomMatrix(12, 12, 5).map((value, i) => value * 10 ** -Math.floor(i / 12)),
      12,
      12,
    );
    const steep = randomMatrix(96, 96, 6).map(
      (value, i) => value * 0.7 ** Math.floor(i / 96) * 0.7 ** (i % 96),
    );
    checkSvd(steep, 96, 96);
    const s = checkSvd(multiply(randomMatrix(96, 20, 7), 96, 20, randomMatrix(20, 96, 8), 96), 96, 96);
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

function lowRank(rank: number, out: number, n: number, seed: number): LowRank {
  return {
    b: { order: "columns", rows: out, columns: rank, values: randomMatrix(out, rank, seed) },
    a: { order: "columns", rows: n, columns: rank, values: randomMatrix(n, rank, seed + 1) },
  };
}

const values = (x: DenseMatrix) => x.values as Float64Array;
const dense = ({ b, a }: LowRank) =>
  multiply(values(b), b.rows, b.columns, transposeColumns(values(a), a.rows, a.columns), a.rows);

describe("Frobenius products of low-rank matrices", () => {
  it("agree with the dense products", () => {
    const size = fc.integer({ min: 1, max: 20 });
    fc.assert(
      fc.property(
        size,
        size,
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(),
        (out, n, r1, r2, seed) => {
          const x = lowRank(r1, out, n, seed);
          const y = lowRank(r2, out, n, seed + 7);
          const dx = dense(x);
          const dy = dense(y);
          const scale = dx.reduce((sum, v) => sum + v * v, 0) + dy.reduce((sum, v) => sum + v * v, 0);
          const close = (actual: number, expected: number) =>
            expect(Math.abs(actual - expected) / scale).toBeLessThan(1e-13);
          const found = pairEnergies(pairGram(x.b, y.b), pairGram(x.a, y.a), r1);
          close(
            found.inner,
            dx.reduce((sum, v, i) => sum + v * dy[i]!, 0),
          );
          close(
            found.x,
            dx.reduce((sum, v) => sum + v * v, 0),
          );
          close(
            found.y,
            dy.reduce((sum, v) => sum + v * v, 0),
          );
          const norm = (m: DenseMatrix) => values(m).reduce((sum, v) => sum + v * v, 0);
          expect(found.scale / (norm(x.b) * norm(x.a) + norm(y.b) * norm(y.a))).toBeCloseTo(1, 12);
          close(
            differenceEnergy(x, y),
            dx.reduce((sum, v, i) => sum + (v - dy[i]!) ** 2, 0),
          );
        },
      ),
    );
  });

  it("resolve a difference far below the rounding of the Gram form", () => {
    const x = lowRank(4, 50, 40, 1);
    const b = values(x.b).map((v, i) => (i === 3 ? v + 1e-9 : v));
    const y: LowRank = { ...x, b: { order: "columns", rows: 50, columns: 4, values: b } };
    const exact =
      values(x.a)
        .subarray(0, 40)
        .reduce((sum, v) => sum + v * v, 0) *
      (b[3]! - values(x.b)[3]!) ** 2;
    expect(differenceEnergy(x, y) / exact).toBeCloseTo(1, 5);
    const { x: energy } = pairEnergies(pairGram(x.b, x.b), pairGram(x.a, x.a), 4);
    expect(differenceEnergy(x, x)).toBeLessThan(1e-29 * energy);
  });
});

function checkComponents(module: LoraModule, expert = 0): Float64Array {
  const { rank, out, n, b, a, singularValues } = reparameterize(module, expert);
  expect([b.length, a.length, n]).toEqual([rank * out, rank * n, inputLength(module)]);
  const back = transposeColumns(multiply(b, out, rank, transposeColumns(a, n, rank), n), out, n);
  expect(relativeDifference(back, denseOf(module, expert))).toBeLessThan(1e-13);
  for (let c = 0; c < rank; c++) {
    const column = [...b.subarray(c * out, (c + 1) * out)];
    const row = a.subarray(c * n, (c + 1) * n);
    for (const vector of [column, row]) {
      const energy = [...vector].reduce((sum, x) => sum + x * x, 0);
      expect(Math.abs(energy - singularValues[c]!)).toBeLessThanOrEqual(1e-13 * (singularValues[0]! || 1));
    }
    const largest = Math.max(...column.map(Math.abs));
    if (largest > 0) expect(column.find((x) => Math.abs(x) === largest)).toBe(largest);
    if (c > 0) expect(singularValues[c]).toBeLessThanOrEqual(singularValues[c - 1]!);
  }
  return singularValues;
}

describe("reparameterization", () => {
  it("gives components of equal norms, by size, with the product unchanged", () => {
    const dimension = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(dimension, dimension, fc.integer({ min: 1, max: 12 }), fc.nat(), (out, n, rank, seed) => {
        checkComponents(makeModule({ out, in: n, rank }, seed));
      }),
    );
  });

  it("pads ranks above a dimension with exact zeros", () => {
    expect([...checkComponents(makeModule({ out: 3, in: 50, rank: 8 }))].slice(3)).toEqual([0, 0, 0, 0, 0]);
    expect([...checkComponents(makeModule({ out: 50, in: 1, rank: 4 }))].slice(1)).toEqual([0, 0, 0]);
  });

  it("finds the true rank of factors that repeat themselves", () => {
    const module = makeModule({ out: 60, in: 70, rank: 6 }, 1, { b: (i) => Math.sin(Math.floor(i / 6)) });
    expect([...checkComponents(module)].slice(1)).toEqual([0, 0, 0, 0, 0]);
  });

  it("takes zero factors for zero", () => {
    expect([...checkComponents(makeModule({ out: 7, in: 9, rank: 3 }, 1, { b: () => 0 }))]).toEqual([
      0, 0, 0,
    ]);
    expect([...checkComponents(makeModule({ out: 7, in: 9, rank: 3 }, 1, { a: () => 0 }))]).toEqual([
      0, 0, 0,
    ]);
  });

  it("reads each expert and the whole kernel", () => {
    const module = makeModule({ out: 10, in: 3, kernel: [3, 3], rank: 4, experts: 3 });
    for (let expert = 0; expert < 3; expert++) checkComponents(module, expert);
  });

  it("gives the same bits by a core that is known, and for the first components alone", () => {
    for (const size of [
      { out: 40, in: 30, rank: 8 },
      { out: 5, in: 30, rank: 8 },
    ]) {
      const module = makeModule(size, 3);
      const whole = reparameterize(module, 0);
      expect(reparameterize(module, 0, { core: whole.core })).toEqual(whole);
      const first = reparameterize(module, 0, { count: 3 });
      expect(first.singularValues).toEqual(whole.singularValues);
      expect(first.b).toEqual(whole.b.subarray(0, 3 * whole.out));
      expect(first.a).toEqual(whole.a.subarray(0, 3 * whole.n));
    }
  });

  it("survives the smallest and the largest float32 factors", () => {
    const [tiny, huge] = [1e-38, 1e38].map((scale) =>
      makeModule({ out: 20, in: 30, rank: 4 }, 1, {
        b: (i) => scale * Math.sin(i * i),
        a: (i) => scale * Math.cos(i * i),
      }),
    );
    checkComponents(tiny!);
    checkComponents(huge!);
  });
});
