import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeModule, type LoraModule, type PackedFactors } from "../../src/core/index.ts";
import { dense, makeModule, quantizeModule, totalQuality } from "./modules.ts";

/** The module a decoder gives back, in the layout of the original. */
function decode(module: LoraModule, factors: PackedFactors): LoraModule {
  const { b, a } = decodeModule(module, factors);
  return { ...module, b: b.data, a: a.data };
}

describe("the quality report", () => {
  it("agrees with the dense difference of ΔW and what a decoder gives", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(1, 2, 4, 8),
        fc.constantFrom(0.5, 2),
        fc.nat(),
        (out, n, rank, codeBits, multiplier, seed) => {
          const module = makeModule({ out, in: n, rank, multiplier, experts: 2 }, seed);
          const { factors, quality } = quantizeModule(module, { profile: "rtn", codeBits });
          const decoded = decode(module, factors);
          let [energy, error, inner, theirs] = [0, 0, 0, 0];
          for (const e of [0, 1]) {
            const x = dense(module, e);
            const y = dense(decoded, e);
            for (let i = 0; i < x.length; i++) {
              energy += x[i]! ** 2;
              theirs += y[i]! ** 2;
              inner += x[i]! * y[i]!;
              error += (x[i]! - y[i]!) ** 2;
            }
          }
          const near = (actual: number, expected: number) =>
            expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-5 * expected + 1e-20 * energy);
          near(quality.energy, energy * multiplier ** 2);
          near(quality.errorEnergy, error * multiplier ** 2);
          near(quality.relativeError, error / energy);
          near(quality.cosine, inner / Math.sqrt(energy * theirs));
          near(quality.decodedEnergy, theirs * multiplier ** 2);
        },
      ),
    );
  });

  it("resolves errors far below the rounding of a Gram difference", () => {
    const module = makeModule({ out: 64, in: 48, rank: 4 });
    const { factors, quality } = quantizeModule(module, { profile: "raw", element: "f16" });
    expect(quality.relativeError).toBeGreaterThan(1e-9);
    expect(quality.relativeError).toBeLessThan(1e-6);
    const x = dense(module);
    const y = dense(decode(module, factors));
    const energy = x.reduce((sum, v) => sum + v * v, 0);
    const error = x.reduce((sum, v, i) => sum + (v - y[i]!) ** 2, 0);
    expect(quality.relativeError / (error / energy)).toBeCloseTo(1, 5);
  });

  it("adds modules up by energy and by parameters", () => {
    const modules = [
      makeModule({ out: 40, in: 30, rank: 4 }, 1),
      makeModule({ out: 20, in: 50, rank: 2, multiplier: 8 }, 2),
    ].map((module) => quantizeModule(module, { profile: "rtn", codeBits: 2 }).quality);
    const total = totalQuality(modules);
    expect(total.parameters).toBe(4 * 70 + 2 * 70);
    expect(total.energy).toBeCloseTo(modules[0]!.energy + modules[1]!.energy, 6);
    expect(total.relativeError).toBeCloseTo(total.errorEnergy / total.energy, 12);
    expect(total.averageBits).toBeCloseTo((2 * modules[0]!.averageBits + modules[1]!.averageBits) / 3, 12);
    expect(totalQuality([])).toMatchObject({ parameters: 0, averageBits: 0, relativeError: 0, cosine: 1 });
  });
});

describe("the raw profile", () => {
  it("gives back the original factors bit for bit", () => {
    const module = makeModule({ out: 33, in: 21, rank: 5, experts: 2 });
    module.b[0] = -0;
    module.a[1] = 1e-45;
    const { factors, quality } = quantizeModule(module, { profile: "raw" });
    const decoded = decode(module, factors);
    expect(new Uint32Array(decoded.b.buffer)).toEqual(new Uint32Array(module.b.buffer));
    expect(new Uint32Array(decoded.a.buffer)).toEqual(new Uint32Array(module.a.buffer));
    expect(quality).toMatchObject({
      averageBits: 32,
      relativeError: 0,
      errorEnergy: 0,
      snrDb: Number.POSITIVE_INFINITY,
    });
    expect(quality.bands).toEqual([{ components: 5, b: "raw f32", a: "raw f32" }]);
  });

  it("keeps binary16 weights in binary16", () => {
    const plain = makeModule({ out: 9, in: 8, rank: 3 });
    const module = {
      ...plain,
      b: plain.b.map((x) => Math.round(x * 64) / 64),
      a: plain.a.map((x) => Math.round(x * 64) / 64),
    };
    const { quality } = quantizeModule(module, { profile: "raw", element: "f16" });
    expect(quality).toMatchObject({ averageBits: 16, relativeError: 0 });
  });

  it("refuses a weight that the element type cannot hold, and unknown options", () => {
    const module = makeModule({ out: 9, in: 8, rank: 3 });
    module.a[4] = 1e5;
    expect(() => quantizeModule(module, { profile: "raw", element: "f16" })).toThrow(
      /SOURCE_RANGE.*factor A, index 4/,
    );
    expect(quantizeModule(module, { profile: "raw", element: "bf16" }).quality.relativeError).toBeLessThan(
      1e-4,
    );
    expect(() => quantizeModule(module, { profile: "raw", element: "f64" as "f32" })).toThrow(/USAGE/);
    expect(() => quantizeModule(module, { profile: "rtn", group: 100 })).toThrow(/USAGE/);
    expect(() => quantizeModule({ ...module, out: 10 }, { profile: "raw" })).toThrow(/SOURCE_SHAPE/);
  });
});
