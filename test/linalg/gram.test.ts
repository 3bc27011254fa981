import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  differenceEnergy,
  gram,
  type LowRank,
  pairEnergies,
  pairGram,
} from "../../src/encode/linalg/gram.ts";
import { type DenseMatrix, multiply, randomMatrix, transposeColumns } from "./matrices.ts";

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
          expect([...gram(values(x.b), r1, values(y.b), r2, out)]).toEqual(
            [...Array(r1 * r2).keys()].map(
              (i) => pairGram(x.b, y.b)[Math.floor(i / r2) * (r1 + r2) + r1 + (i % r2)],
            ),
          );
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
