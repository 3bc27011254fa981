import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inputLength, type LoraModule } from "../../src/core/index.ts";
import { reparameterize } from "../helpers/parts.ts";
import { multiply, relativeDifference, transposeColumns } from "../linalg/matrices.ts";
import { dense, makeModule } from "./modules.ts";

function check(module: LoraModule, expert = 0): Float64Array {
  const { rank, out, n, b, a, singularValues } = reparameterize(module, expert);
  expect([b.length, a.length, n]).toEqual([rank * out, rank * n, inputLength(module)]);
  const back = transposeColumns(multiply(b, out, rank, transposeColumns(a, n, rank), n), out, n);
  expect(relativeDifference(back, dense(module, expert))).toBeLessThan(1e-13);
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
        check(makeModule({ out, in: n, rank }, seed));
      }),
    );
  });

  it("pads ranks above a dimension with exact zeros", () => {
    expect([...check(makeModule({ out: 3, in: 50, rank: 8 }))].slice(3)).toEqual([0, 0, 0, 0, 0]);
    expect([...check(makeModule({ out: 50, in: 1, rank: 4 }))].slice(1)).toEqual([0, 0, 0]);
  });

  it("finds the true rank of factors that repeat themselves", () => {
    const module = makeModule({ out: 60, in: 70, rank: 6 }, 1, { b: (i) => Math.sin(Math.floor(i / 6)) });
    expect([...check(module)].slice(1)).toEqual([0, 0, 0, 0, 0]);
  });

  it("takes zero factors for zero", () => {
    expect([...check(makeModule({ out: 7, in: 9, rank: 3 }, 1, { b: () => 0 }))]).toEqual([0, 0, 0]);
    expect([...check(makeModule({ out: 7, in: 9, rank: 3 }, 1, { a: () => 0 }))]).toEqual([0, 0, 0]);
  });

  it("reads each expert and the whole kernel", () => {
    const module = makeModule({ out: 10, in: 3, kernel: [3, 3], rank: 4, experts: 3 });
    for (let expert = 0; expert < 3; expert++) check(module, expert);
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
    check(tiny!);
    check(huge!);
  });
});
