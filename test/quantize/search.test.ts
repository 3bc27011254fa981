/**
 * What the encoder chooses, from inside: scale and zero point of a group, the bits of each component, and the bound that no choice can
 * go below.
 */
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import type { Fit } from "../../src/encode/index.ts";
import { affineSearch } from "../../src/encode/quantize/affine-search.ts";
import { gaussianBound } from "../../src/encode/quantize/bound.ts";
import { minMaxFit, RANGE_FLOOR, searchFit, signFit } from "../../src/encode/quantize/fit.ts";
import { roundEven } from "../../src/encode/quantize/groups.ts";
import { allocate, type Candidate, type Choice, type Rates } from "../../src/encode/quantize/rd/allocate.ts";
import { type ComponentFit, lossOf } from "../../src/encode/quantize/rd/gain.ts";
import { RATES } from "../../src/encode/quantize/rd/rates.ts";
import { normal } from "../linalg/matrices.ts";

function squaredError(values: Float64Array, scale: number, zeroPoint: number, largest: number): number {
  return values.reduce((sum, w) => {
    const k = scale === 0 ? 0 : Math.min(Math.max(roundEven(w / scale), -zeroPoint), largest - zeroPoint);
    return sum + (w - k * scale) ** 2;
  }, 0);
}

/** Least error over every zero point and every scale at which an integer changes, refitted. */
function bruteForce(values: Float64Array, largest: number): number {
  let best = squaredError(values, 0, 0, largest);
  for (let z = 0; z <= largest; z++) {
    for (const w of values) {
      for (let level = 0; level < largest; level++) {
        for (const nudge of [1 - 1e-9, 1 + 1e-9]) {
          const at = (Math.abs(w) / (level + 0.5)) * nudge;
          if (at === 0) continue;
          let dot = 0;
          let square = 0;
          for (const v of values) {
            const k = Math.min(Math.max(roundEven(v / at), -z), largest - z);
            dot += v * k;
            square += k * k;
          }
          if (dot > 0) best = Math.min(best, squaredError(values, dot / square, z, largest));
        }
      }
    }
  }
  return best;
}

/** The largest gain over all zero points and scales: all steps in order. */
function bestGain(values: Float64Array, largest: number): number {
  const steps = [...values].flatMap((w) =>
    Array.from({ length: w === 0 ? 0 : largest }, (_, level) => ({
      w,
      level,
      at: Math.abs(w) / (level + 0.5),
    })),
  );
  steps.sort((p, q) => q.at - p.at);
  let best = 0;
  for (let z = 0; z <= largest; z++) {
    let dot = 0;
    let square = 0;
    for (const { w, level } of steps) {
      if (level >= (w < 0 ? z : largest - z)) continue;
      dot += Math.abs(w);
      square += 2 * level + 1;
      best = Math.max(best, (dot * dot) / square);
    }
  }
  return best;
}

const group = fc
  .array(fc.double({ min: -4, max: 4, noNaN: true }), { minLength: 1, maxLength: 14 })
  .map((values) => Float64Array.from(values));

describe("the search for scale and zero point", () => {
  it("is exact up to 3 bits", () => {
    fc.assert(
      fc.property(group, fc.integer({ min: 1, max: 3 }), (values, bits) => {
        const largest = (1 << bits) - 1;
        const { scale, zeroPoint } = affineSearch(bits, 14)(values, 0, values.length);
        const energy = squaredError(values, 0, 0, largest);
        const best = bruteForce(values, largest);
        expect(squaredError(values, scale, zeroPoint, largest)).toBeLessThanOrEqual(best + 1e-6 * energy);
      }),
    );
  });

  it("is exact for groups of any size, tails and sides", () => {
    const next = normal(5);
    const kinds: ((i: number) => number)[] = [
      next,
      () => next() ** 3,
      (i) => (i === 3 ? 40 : next()),
      () => Math.abs(next()),
      () => -1 - Math.abs(next()),
      () => Math.round(2 * next()),
      (i) => (i % 9 === 0 ? next() : 1e-9 * next()),
      () => 1e-310 * next(),
    ];
    for (const kind of kinds) {
      for (const bits of [1, 2, 3]) {
        for (const length of [1, 2, 17, 128, 1000]) {
          const values = Float64Array.from({ length }, (_, i) => kind(i));
          const { scale, zeroPoint } = affineSearch(bits, 1000)(values, 0, length);
          const largest = (1 << bits) - 1;
          // In units in which squares do not vanish.
          const unit = 2 ** (Math.max(...values.map(Math.abs)) < 1e-300 ? 1000 : 0);
          const scaled = values.map((w) => w * unit);
          const energy = squaredError(scaled, 0, 0, largest);
          const found = energy - squaredError(scaled, scale * unit, zeroPoint, largest);
          expect(found).toBeGreaterThanOrEqual(bestGain(scaled, largest) - 1e-9 * energy);
        }
      }
    }
  });

  it("is never worse than rounding over the range, at any width", () => {
    fc.assert(
      fc.property(group, fc.integer({ min: 1, max: 8 }), (values, bits) => {
        const largest = (1 << bits) - 1;
        const bundle = { values, from: 0, components: 1, length: values.length, group: 0 };
        const plain = minMaxFit(bundle, bits);
        const found = searchFit(bundle, bits);
        const [error, plainError] = [found, plain].map((fit) =>
          squaredError(values, fit.scales[0]!, fit.zeroPoints[0]!, largest),
        );
        const energy = squaredError(values, 0, 0, largest);
        // Round-to-nearest may clip a one-signed group at a range the grid does not try.
        expect(error).toBeLessThanOrEqual(plainError! * 1.2 + 1e-6 * energy);
      }),
    );
  });

  it("does not depend on the unit of the weights", () => {
    const next = normal(3);
    const values = Float64Array.from({ length: 128 }, next);
    for (const bits of [2, 3, 4, 8]) {
      const { scale, zeroPoint } = { ...affineSearch(bits, 128)(values, 0, 128) };
      for (const unit of [2 ** -200, 2 ** 100]) {
        const other = affineSearch(bits, 128)(
          values.map((w) => w * unit),
          0,
          128,
        );
        expect(other).toEqual({ scale: scale * unit, zeroPoint });
      }
    }
  });

  it("finds constant, one-signed and all-zero groups", () => {
    for (const bits of [1, 2, 3, 4, 8]) {
      const largest = (1 << bits) - 1;
      const error = (values: Float64Array) => {
        const { scale, zeroPoint } = affineSearch(bits, 16)(values, 0, 16);
        return squaredError(values, scale, zeroPoint, largest) / squaredError(values, 0, 0, largest);
      };
      expect(error(new Float64Array(16).fill(0.7))).toBeLessThan(1e-12);
      expect(error(new Float64Array(16).fill(-0.7))).toBeLessThan(1e-12);
      expect(error(Float64Array.from({ length: 16 }, (_, i) => 5 + i / 16))).toBeLessThan(0.003);
      expect(affineSearch(bits, 16)(new Float64Array(16), 0, 16)).toEqual({ scale: 0, zeroPoint: 0 });
    }
  });
});

describe("the rules of the authors' program, with 0 in every range", () => {
  const bundle = (values: number[]) => ({
    values: Float64Array.from(values),
    from: 0,
    components: 1,
    length: values.length,
    group: 16,
  });

  it("spread the codes over the range of a group, with a floor of 1e-5", () => {
    expect(minMaxFit(bundle([-1, 0, 2]), 2)).toEqual({
      scales: Float64Array.of(1),
      zeroPoints: Uint8Array.of(1),
    });
    expect(minMaxFit(bundle([2, 3, 6]), 2)).toEqual({
      scales: Float64Array.of(2),
      zeroPoints: Uint8Array.of(0),
    });
    expect(minMaxFit(bundle([-9, -8, -6]), 2)).toEqual({
      scales: Float64Array.of(3),
      zeroPoints: Uint8Array.of(3),
    });
    expect(minMaxFit(bundle([1e-9, -1e-9]), 2).scales[0]).toBe(RANGE_FLOOR / 3);
  });

  it("take the mean magnitude of the real entries of a short last group", () => {
    const values = [...Array(16).fill(2), -1, 3, 0];
    expect([...signFit(bundle(values)).scales]).toEqual([2, 4 / 3]);
  });

  it("round ties to even", () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, 0.4999].map(roundEven)).toEqual([0, 2, 2, 0, -2, 0]);
  });
});

describe("allocation", () => {
  const points = fc
    .array(fc.double({ min: 0.01, max: 0.9, noNaN: true }), { minLength: 3, maxLength: 6 })
    .map((falls) => {
      let distortion = 1;
      const lost = [1, ...falls.map((f) => (distortion *= f))];
      return { bits: lost.map((_, i) => 10 * i), distortion: lost, counted: lost };
    });
  const candidate: fc.Arbitrary<Candidate> = fc.record({
    energy: fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
    weight: fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
    b: points,
    a: points,
    floor: fc.nat(1),
  });

  const fits = fc.constantFrom<Fit>("unbiased", "least-squares");

  test("a bit goal is never exceeded unless the floors alone exceed it, and more bits never lose more", () => {
    fc.assert(
      fc.property(
        fc.array(candidate, { minLength: 1, maxLength: 8 }),
        fc.nat(500),
        fits,
        (candidates, bits, fit) => {
          const floors = candidates.reduce((sum, c) => sum + c.b.bits[c.floor]! + c.a.bits[c.floor]!, 0);
          const less = allocate(candidates, { bits }, fit);
          const more = allocate(candidates, { bits: bits + 50 }, fit);
          expect(less.bits).toBeLessThanOrEqual(Math.max(bits, floors));
          expect(more.loss).toBeLessThanOrEqual(less.loss * (1 + 1e-12));
          for (const [i, { b, a }] of less.choices.entries()) {
            expect(Math.min(b, a)).toBeGreaterThanOrEqual(candidates[i]!.floor);
            expect(b === 0).toBe(a === 0);
          }
        },
      ),
    );
  });

  test("an error goal is reached with the steps that save most per bit", () => {
    fc.assert(
      fc.property(
        fc.array(candidate, { minLength: 1, maxLength: 8 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fits,
        (candidates, share, fit) => {
          const most = allocate(candidates, { bits: Number.POSITIVE_INFINITY }, fit).error;
          const least = allocate(candidates, { bits: 0 }, fit).error;
          const goal = most + share * (least - most);
          const found = allocate(candidates, { error: goal }, fit);
          expect(found.error).toBeLessThanOrEqual(goal + 1e-9 * least);
          // Lagrangian: with the bits it took, nothing better is found
          expect(allocate(candidates, { bits: found.bits }, fit).loss).toBeLessThanOrEqual(
            found.loss * (1 + 1e-9) + 1e-12,
          );
        },
      ),
    );
  });
});

describe("an error goal of differences from a parent", () => {
  const sides = (bits: number): Rates => ({ bits: [0, bits], distortion: [1, 0.1], counted: [1, 0.1] });
  const component = (energy: number, bits: number, fit: ComponentFit): Candidate => ({
    ...{ energy, weight: 1, floor: 0, fit },
    ...{ b: sides(bits), a: sides(bits) },
  });
  // The small one saves more per bit, so it is bought first; then the large one goes far beyond the goal.
  const chosen = (fit: ComponentFit): readonly Choice[] =>
    allocate([component(1.1, 1, fit), component(10, 10, fit)], { error: 3.1 }, "least-squares").choices;

  test("takes back what the last step makes needless", () => {
    expect(chosen("rest")).toEqual([
      { b: 0, a: 0 },
      { b: 1, a: 1 },
    ]);
  });

  test("changes nothing for other components", () => {
    expect(chosen("least-squares")).toEqual([
      { b: 1, a: 1 },
      { b: 1, a: 1 },
    ]);
  });
});

describe("shrinkage and noise", () => {
  test("least squares loses what is not kept", () => {
    for (const kept of [0, 0.2, 0.5, 0.9, 1]) {
      expect(lossOf(kept, "least-squares")).toBeCloseTo(1 - kept, 12);
      expect(lossOf(kept, "least-squares", 1)).toBeCloseTo(1 - kept, 12);
    }
  });

  test("a component that is coded is never worse than one that is left out", () => {
    const at = (kept: number) => ({ loss: lossOf(kept, "unbiased"), error: lossOf(kept, "unbiased", 1) });
    expect(at(0)).toEqual({ loss: 5, error: 1 });
    let last = at(0);
    for (let kept = 0.01; kept < 1; kept += 0.01) {
      const next = at(kept);
      expect(next.loss).toBeLessThan(last.loss);
      expect(next.error).toBeLessThan(last.error);
      last = next;
    }
    expect(at(0.8).error).toBeCloseTo(1 / 0.8 - 1, 12);
    expect(at(1)).toEqual({ loss: 0, error: 0 });
  });
});

test("rates are in order: more bits, less distortion", () => {
  for (let i = 1; i < RATES.length; i++) {
    expect(RATES[i]!.nominal).toBeGreaterThan(RATES[i - 1]!.nominal);
    expect(RATES[i]!.distortion).toBeLessThan(RATES[i - 1]!.distortion);
  }
});

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
