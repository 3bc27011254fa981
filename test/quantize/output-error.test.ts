/** The output error: what the Gram matrices say is what the dense difference, weighted by the moments, is. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeModule, inputLength, type LoraModule, type PackedFactors } from "../../src/core/index.ts";
import { uniform } from "../helpers/random.ts";
import { dense, encodeModule, makeModule, reportOn } from "./modules.ts";

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
  it("is that of the dense matrices", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom<number[][]>([], [3, 1]),
        fc.nat(),
        async (out, inputs, rank, kernel, seed) => {
          const module = makeModule({ out, in: inputs, rank, kernel, experts: 2, multiplier: 0.5 }, seed);
          const moments = makeMoments(module, seed);
          const { factors, quality } = await encodeModule(module, options, moments);
          const [energy, error] = denseEnergies(module, factors, moments);
          const share = error === 0 ? 0 : error / energy;
          expect(Math.abs(quality.outputError! - share)).toBeLessThanOrEqual(1e-5 * share + 1e-20);
        },
      ),
    );
  });

  it("is the relative error for equal moments, and weighs by them otherwise", async () => {
    const module = makeModule({ out: 20, in: 16, rank: 4 });
    const equal = (await encodeModule(module, options, new Float64Array(16).fill(3))).quality;
    expect(equal.outputError).toBeCloseTo(equal.relativeError, 12);
    const none = (await encodeModule(module, options, new Float64Array(16))).quality;
    expect(none.outputError).toBe(0);
    expect((await encodeModule(module, options)).quality).not.toHaveProperty("outputError");
  });

  it("is exactly zero where nothing was lost", async () => {
    const module = makeModule({ out: 20, in: 16, rank: 4 });
    const { quality } = await encodeModule(module, { profile: "raw" }, makeMoments(module, 1));
    expect(quality.outputError).toBe(0);
  });

  it("adds up over the modules that have moments", async () => {
    const modules = [1, 2, 3].map((seed) => ({
      ...makeModule({ out: 20, in: 16, rank: 4, multiplier: seed }, seed),
      name: `layers.${seed}`,
    }));
    const [first, second, third] = modules as [LoraModule, LoraModule, LoraModule];
    const moments = new Map([first, third].map((module) => [module.name, makeMoments(module, 1)]));
    const total = await reportOn(modules, options, moments);
    let [energy, error] = [0, 0];
    for (const module of [first, third]) {
      const { factors } = await encodeModule(module, options);
      const [own, lost] = denseEnergies(module, factors, moments.get(module.name)!);
      energy += own;
      error += lost;
    }
    expect(total.outputError! / (error / energy)).toBeCloseTo(1, 5);
    expect(await reportOn([second], options)).not.toHaveProperty("outputError");
  });
});
