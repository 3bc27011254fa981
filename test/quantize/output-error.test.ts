/** The output error: what the Gram matrices say is what the dense difference, weighted by the moments, is. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeModule, inputLength, type LoraModule, type PackedFactors } from "../../src/core/index.ts";
import { uniform } from "../helpers/random.ts";
import { dense, makeModule, quantizeModule, totalQuality } from "./modules.ts";

/** The module that a decoder gives. */
function decoded(module: LoraModule, factors: PackedFactors): LoraModule {
  const { b, a } = decodeModule(module, factors);
  return { ...module, b: b.data, a: a.data };
}

/** Σ d_j x_oj² with and without what was lost, over all experts. */
function denseEnergies(module: LoraModule, factors: PackedFactors, moments: Float64Array): [number, number] {
  const n = inputLength(module);
  const theirs = decoded(module, factors);
  let [energy, error] = [0, 0];
  for (let e = 0; e < module.experts; e++) {
    const x = dense(module, e);
    const y = dense(theirs, e);
    for (let i = 0; i < x.length; i++) {
      const weight = module.multiplier ** 2 * moments[e * n + (i % n)]!;
      energy += weight * x[i]! ** 2;
      error += weight * (x[i]! - y[i]!) ** 2;
    }
  }
  return [energy, error];
}

/** Moments over four orders of magnitude, some of them zero. */
function makeMoments(module: LoraModule, seed: number): Float64Array {
  const next = uniform(seed);
  const length = module.experts * inputLength(module);
  return Float64Array.from({ length }, () => (next() < 0.1 ? 0 : 100 * next() ** 6));
}

const options = { profile: "rtn", codeBits: 2 } as const;

describe("the output error", () => {
  it("is that of the dense matrices", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom<number[][]>([], [3]),
        fc.nat(),
        (out, inputs, rank, kernel, seed) => {
          const module = makeModule({ out, in: inputs, rank, kernel, experts: 2, multiplier: 0.5 }, seed);
          const moments = makeMoments(module, seed);
          const { factors, quality } = quantizeModule(module, options, moments);
          const [energy, error] = denseEnergies(module, factors, moments);
          const near = (actual: number | undefined, expected: number) =>
            expect(Math.abs(actual! - expected)).toBeLessThanOrEqual(1e-5 * expected + 1e-20 * energy);
          near(quality.outputEnergy, energy);
          near(quality.outputErrorEnergy, error);
          near(quality.outputError, error === 0 ? 0 : error / energy);
        },
      ),
    );
  });

  it("is the relative error for equal moments, and weighs by them otherwise", () => {
    const module = makeModule({ out: 20, in: 16, rank: 4 });
    const equal = quantizeModule(module, options, new Float64Array(16).fill(3)).quality;
    expect(equal.outputError).toBeCloseTo(equal.relativeError, 12);
    expect(equal.outputEnergy).toBeCloseTo(3 * equal.energy, 8);
    const none = quantizeModule(module, options, new Float64Array(16)).quality;
    expect(none).toMatchObject({ outputError: 0, outputEnergy: 0, outputErrorEnergy: 0 });
    expect(quantizeModule(module, options).quality).not.toHaveProperty("outputError");
  });

  it("is exactly zero where nothing was lost", () => {
    const module = makeModule({ out: 20, in: 16, rank: 4 });
    const { quality } = quantizeModule(module, { profile: "raw" }, makeMoments(module, 1));
    expect(quality.outputError).toBe(0);
  });

  it("adds up over the modules that have moments", () => {
    const modules = [1, 2, 3].map((seed) => makeModule({ out: 20, in: 16, rank: 4, multiplier: seed }, seed));
    const qualities = modules.map((module, i) =>
      quantizeModule(module, options, i === 1 ? undefined : makeMoments(module, i)),
    );
    const [first, , third] = qualities.map(({ quality }) => quality);
    const total = totalQuality(qualities.map(({ quality }) => quality));
    const energy = first!.outputEnergy! + third!.outputEnergy!;
    expect(total.outputEnergy).toBeCloseTo(energy, 8);
    expect(total.outputError).toBeCloseTo(
      (first!.outputErrorEnergy! + third!.outputErrorEnergy!) / energy,
      12,
    );
    expect(totalQuality([qualities[1]!.quality])).not.toHaveProperty("outputError");
  });
});
