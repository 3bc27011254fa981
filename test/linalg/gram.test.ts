import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { differenceEnergy, innerProduct, type LowRank, productEnergy } from "../../src/linalg/gram.ts";
import { transpose } from "../../src/linalg/svd.ts";
import { multiply, randomMatrix } from "./matrices.ts";

function lowRank(rank: number, out: number, n: number, seed: number): LowRank {
  return { rank, out, n, b: randomMatrix(out, rank, seed), a: randomMatrix(n, rank, seed + 1) };
}

const dense = (x: LowRank) => multiply(x.b, x.out, x.rank, transpose(x.a, x.n, x.rank), x.n);

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
          close(
            innerProduct(x, y),
            dx.reduce((sum, v, i) => sum + v * dy[i]!, 0),
          );
          close(
            productEnergy(x),
            dx.reduce((sum, v) => sum + v * v, 0),
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
    const y = { ...x, b: x.b.map((v, i) => (i === 3 ? v + 1e-9 : v)) };
    const exact = x.a.subarray(0, 40).reduce((sum, v) => sum + v * v, 0) * (y.b[3]! - x.b[3]!) ** 2;
    expect(differenceEnergy(x, y) / exact).toBeCloseTo(1, 5);
    expect(differenceEnergy(x, x)).toBeLessThan(1e-29 * productEnergy(x));
  });
});
