import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeModule, type LoraModule, type PackedFactors } from "../../src/core/index.ts";
import { dense, encodeModule, makeModule, reportOn } from "./modules.ts";

/** The module a decoder gives back, in the layout of the original. */
function decode(module: LoraModule, factors: PackedFactors): LoraModule {
  const { b, a } = decodeModule(module, factors);
  return { ...module, b: b.data, a: a.data };
}

describe("the quality report", () => {
  it("agrees with the dense difference of ΔW and what a decoder gives", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(1, 2, 4, 8),
        fc.constantFrom(0.5, 2),
        fc.nat(),
        async (out, n, rank, codeBits, multiplier, seed) => {
          const module = makeModule({ out, in: n, rank, multiplier, experts: 2 }, seed);
          const { factors, quality } = await encodeModule(module, { profile: "rtn", codeBits });
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

  it("resolves errors far below the rounding of a Gram difference", async () => {
    const module = makeModule({ out: 64, in: 48, rank: 4 });
    const { factors, quality } = await encodeModule(module, { profile: "raw", element: "f16" });
    expect(quality.relativeError).toBeGreaterThan(1e-9);
    expect(quality.relativeError).toBeLessThan(1e-6);
    const x = dense(module);
    const y = dense(decode(module, factors));
    const energy = x.reduce((sum, v) => sum + v * v, 0);
    const error = x.reduce((sum, v, i) => sum + (v - y[i]!) ** 2, 0);
    expect(quality.relativeError / (error / energy)).toBeCloseTo(1, 5);
  });

  it("adds modules up by energy and by parameters", async () => {
    const modules = [
      makeModule({ out: 40, in: 30, rank: 4 }, 1),
      { ...makeModule({ out: 20, in: 50, rank: 2, multiplier: 8 }, 2), name: "layers.1.q_proj" },
    ];
    const options = { profile: "rtn", codeBits: 2 } as const;
    const [first, second] = await Promise.all(
      modules.map(async (module) => (await encodeModule(module, options)).quality),
    );
    const total = await reportOn(modules, options);
    expect(total.parameters).toBe(4 * 70 + 2 * 70);
    expect(total.energy).toBeCloseTo(first!.energy + second!.energy, 6);
    expect(total.errorEnergy).toBeCloseTo(first!.errorEnergy + second!.errorEnergy, 6);
    expect(total.relativeError).toBeCloseTo(total.errorEnergy / total.energy, 12);
    expect(total.averageBits).toBeCloseTo((2 * first!.averageBits + second!.averageBits) / 3, 12);
    expect(await reportOn([], options)).toMatchObject({
      parameters: 0,
      averageBits: 0,
      relativeError: 0,
      gain: 1,
    });
  });
});

describe("the raw profile", () => {
  it("gives back the original factors bit for bit", async () => {
    const module = makeModule({ out: 33, in: 21, rank: 5, experts: 2 });
    module.b[0] = -0;
    module.a[1] = 1e-45;
    const { factors, quality } = await encodeModule(module, { profile: "raw" });
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

  it("keeps binary16 weights in binary16", async () => {
    const plain = makeModule({ out: 9, in: 8, rank: 3 });
    const module = {
      ...plain,
      b: plain.b.map((x) => Math.round(x * 64) / 64),
      a: plain.a.map((x) => Math.round(x * 64) / 64),
    };
    const { quality } = await encodeModule(module, { profile: "raw", element: "f16" });
    expect(quality).toMatchObject({ averageBits: 16, relativeError: 0 });
  });

  it("refuses a weight that the element type cannot hold, and unknown options", async () => {
    const module = makeModule({ out: 9, in: 8, rank: 3 });
    module.a[4] = 1e5;
    await expect(encodeModule(module, { profile: "raw", element: "f16" })).rejects.toThrow(
      /SOURCE_RANGE.*factor A, index 4/,
    );
    const { quality } = await encodeModule(module, { profile: "raw", element: "bf16" });
    expect(quality.relativeError).toBeLessThan(1e-4);
    await expect(encodeModule(module, { profile: "raw", element: "f64" as "f32" })).rejects.toThrow(/USAGE/);
    await expect(encodeModule(module, { profile: "rtn", group: 100 })).rejects.toThrow(/USAGE/);
    await expect(encodeModule({ ...module, out: 10 }, { profile: "raw" })).rejects.toThrow(/SOURCE_SHAPE/);
  });
});
