import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gaussianBound } from "../../src/encode/quantize/bound.ts";

describe("the rate-distortion bound", () => {
  test("of one component with equal vectors is 1 − (1 − 4^−R)²", () => {
    for (const rate of [1, 2, 4, 8]) {
      const d = 4 ** -rate;
      expect(gaussianBound([{ energy: 3, out: 500, n: 500 }], rate * 1000)).toBeCloseTo(
        3 * (1 - (1 - d) ** 2),
        9,
      );
    }
  });
  test("gives a longer vector fewer bits per weight: never above an even split", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 5000 }),
        fc.double({ min: 1.5, max: 6, noNaN: true }),
        (out, n, rate) => {
          const d = 4 ** -rate;
          expect(gaussianBound([{ energy: 1, out, n }], rate * (out + n))).toBeLessThanOrEqual(
            1 - (1 - d) ** 2 + 1e-9,
          );
        },
      ),
    );
  });
  test("spends nothing on what is too weak, and everything is lost without bits", () => {
    const strong = { energy: 1, out: 100, n: 100 };
    const weak = { energy: 1e-9, out: 100, n: 100 };
    expect(gaussianBound([strong, weak], 400)).toBeCloseTo(gaussianBound([strong], 400) + 1e-9, 12);
    expect(gaussianBound([strong, weak], 0)).toBeCloseTo(1 + 1e-9, 12);
  });
});
