/** The baselines `rtn` and `sign`: exactly what they say on paper, and safe for what real files hold. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeModule, type LoraModule } from "../../src/core/index.ts";
import type { EncodeOptions } from "../../src/encode/index.ts";
import { encodeModule, makeModule, reportOn } from "./modules.ts";

/** The options in force. */
const settings = async (options: EncodeOptions) => (await reportOn([], options)).settings;

const decode = (module: LoraModule, factors: Parameters<typeof decodeModule>[1]) => {
  const { b, a } = decodeModule(module, factors);
  return { b: b.data, a: a.data };
};

describe("rtn", () => {
  it("rounds the original factors to nearest over the range of each group of a component", async () => {
    // Component 0 of A: 0 to 3 and then 10 to 16; component 1: constant 5 and -1 … 0.5. Groups of 16.
    const a = Float32Array.from({ length: 2 * 32 }, (_, i) =>
      i < 16 ? i % 4 : i < 32 ? 10 + (i % 7) : i < 48 ? 5 : -1 + (i % 4) / 2,
    );
    const module = makeModule({ out: 16, in: 32, rank: 2 }, 3, { b: () => 1, a: (i) => a[i]! });
    const { factors, quality } = await encodeModule(module, { profile: "rtn", codeBits: 2, group: 16 });
    expect(quality.bands).toEqual([{ components: 2, b: "affine2 g16 f16", a: "affine2 g16 f16" }]);
    const decoded = decode(module, factors);
    // 0 … 3 with scale 1: exact. 10 … 16 has the range 0 … 16: codes 2 and 3, at 10.67 and 16.
    expect([...decoded.a.subarray(0, 16)]).toEqual([...a.subarray(0, 16)]);
    for (const [i, value] of decoded.a.subarray(16, 32).entries())
      expect(value / (a[16 + i]! < 13.5 ? 32 / 3 : 16)).toBeCloseTo(1, 3);
    // -1 … 0.5 with scale 0.5: exact.
    expect([...decoded.a.subarray(48, 64)]).toEqual([...a.subarray(48, 64)]);
    // A constant group is the largest code, which is a third of it as a scale, rounded to f16.
    expect(decoded.a[40]).toBeCloseTo(5, 2);
    expect(decoded.b[0]).toBeCloseTo(1, 3);
  });

  it("has the errors and bits of the published comparison on Gaussian factors", async () => {
    const module = makeModule({ out: 1024, in: 2048, rank: 4 }, 7);
    const of = async (codeBits: number) =>
      (await encodeModule(module, { profile: "rtn", codeBits, group: 128 })).quality;
    for (const bits of [1, 2, 3, 4, 8])
      expect((await of(bits)).averageBits).toBeCloseTo(bits + (16 + bits) / 128, 12);
    // ‖b aᵀ − b̂ âᵀ‖ of 2 and 3 bits, normal entries, groups of 128: 0.751 and 0.306.
    expect(Math.sqrt((await of(2)).relativeError)).toBeCloseTo(0.751, 1);
    expect(Math.sqrt((await of(3)).relativeError)).toBeCloseTo(0.306, 1);
    // One bit of min/max is worse than nothing.
    expect((await of(1)).relativeError).toBeGreaterThan(1);
    expect((await of(8)).relativeError).toBeLessThan(1e-3);
  });

  it("takes two bits and groups of 128 unless told otherwise", async () => {
    expect(await settings({ profile: "rtn" })).toEqual({ profile: "rtn", codeBits: 2, group: 128 });
    expect(await settings({ profile: "sign", group: 0 })).toEqual({ profile: "sign", group: 0 });
  });
});

describe("sign", () => {
  it("keeps signs and the mean magnitude of each group", async () => {
    const values = [1, -3, 0, 2, -4, 5, -1, 0, 1, -3, 0, 2, -4, 5, -1, 0, -7, 1];
    const module = makeModule({ out: 1, in: 18, rank: 1 }, 1, { b: () => -0.5, a: (i) => values[i]! });
    const { factors, quality } = await encodeModule(module, { profile: "sign", group: 16 });
    expect(quality.bands).toEqual([{ components: 1, b: "sign g16 f16", a: "sign g16 f16" }]);
    const { a, b } = decode(module, factors);
    expect([...b]).toEqual([-0.5]);
    // The last group has two real entries; both zeros are +.
    expect([...a]).toEqual(values.map((w, i) => (w < 0 ? -1 : 1) * (i < 16 ? 2 : 4)));
  });

  it("has the error and bits of binarisation on Gaussian factors", async () => {
    const { quality } = await encodeModule(makeModule({ out: 1024, in: 2048, rank: 4 }, 7), {
      profile: "sign",
      group: 128,
    });
    expect(quality.averageBits).toBeCloseTo(1.125, 12);
    expect(Math.sqrt(quality.relativeError)).toBeCloseTo(0.767, 2);
  });
});

describe("both", () => {
  const all = [
    { profile: "sign" } as const,
    ...[1, 2, 8].map((codeBits) => ({ profile: "rtn", codeBits }) as const),
  ];

  it.each(all)("%j gives valid planes for every shape, and the same each time", async (options) => {
    return fc.assert(
      fc.asyncProperty(
        fc.constantFrom(1, 7, 33, 130, 576),
        fc.constantFrom(1, 7, 130, 200),
        fc.constantFrom(1, 2, 6, 12),
        fc.constantFrom(0, 16, 128, 1024),
        fc.constantFrom(1e-9, 1, 1e6),
        fc.nat(),
        async (out, n, rank, group, scale, seed) => {
          const plain = makeModule({ out, in: n, rank, experts: 1 + (seed % 2) }, seed);
          const module = { ...plain, b: plain.b.map((x) => x * scale) };
          const { factors, quality } = await encodeModule(module, { ...options, group });
          expect(Number.isFinite(quality.relativeError)).toBe(true);
          expect((await encodeModule(module, { ...options, group })).factors).toEqual(factors);
        },
      ),
      { numRuns: 25 },
    );
  });

  it.each(all)("%j stores nothing for components that add nothing", async (options) => {
    const untrained = makeModule({ out: 96, in: 130, rank: 4 }, 1, { b: () => 0 });
    const { factors, quality } = await encodeModule(untrained, options);
    expect(factors.bands).toEqual([{ components: 4, b: { codec: "zero" }, a: { codec: "zero" } }]);
    expect(quality).toMatchObject({ averageBits: 0, relativeError: 0 });
    // Column 1 of B and row 3 of A are zero: bands in the order of the components.
    const partly = makeModule({ out: 40, in: 30, rank: 4 }, 2);
    for (let i = 0; i < 40; i++) partly.b[4 * i + 1] = 0;
    partly.a.fill(0, 90, 120);
    const { bands } = (await encodeModule(partly, options)).quality;
    expect(bands.map(({ components, a }) => `${components} ${a.replace(/ .*/, "")}`)).toEqual([
      expect.stringMatching(/^1 (sign|affine\d)$/),
      "1 zero",
      expect.stringMatching(/^1 (sign|affine\d)$/),
      "1 zero",
    ]);
  });

  it.each(all)("%j refuses NaN, Inf and weights beyond every scale, by name", async (options) => {
    const module = makeModule({ out: 8, in: 8, rank: 2 });
    module.a[5] = Number.NaN;
    await expect(encodeModule(module, options)).rejects.toThrow(
      /SOURCE_NONFINITE.*q_proj", factor A, index 5/,
    );
    module.b[3] = Number.NEGATIVE_INFINITY;
    await expect(encodeModule(module, options)).rejects.toThrow(/SOURCE_NONFINITE.*factor B, index 3/);
    const huge = makeModule({ out: 64, in: 64, rank: 2 }, 1, {
      b: (i) => (i % 3 ? 3e38 : -3e38),
      a: () => 1,
    });
    // A mean magnitude is never beyond bf16, and one bit of min/max puts ±w exactly between its two values.
    if (options.profile === "rtn" && options.codeBits > 1)
      await expect(encodeModule(huge, options)).rejects.toThrow(/SOURCE_RANGE.*layers\.0\.q_proj.*factor B/);
  });

  it("take bf16 scales where binary16 would overflow or be subnormal", async () => {
    const module = makeModule({ out: 256, in: 256, rank: 4 });
    for (const scale of [1e-5, 1e6]) {
      const scaled = { ...module, b: module.b.map((x) => x * scale) };
      const { quality } = await encodeModule(scaled, { profile: "sign" });
      expect(quality.bands).toEqual([{ components: 4, b: "sign g128 bf16", a: "sign g128 f16" }]);
      expect(quality.relativeError).toBeCloseTo(
        (await encodeModule(module, { profile: "sign" })).quality.relativeError,
        3,
      );
    }
  });
});

describe("options", () => {
  it.each([
    [{ profile: "rtn", codeBits: 1.5 }, /codeBits.*expected 1, 2, 3, 4, 5, 6, 7, 8, found 1.5/],
    [{ profile: "rtn", codeBits: 9 }, /codeBits/],
    [{ profile: "rtn", bits: 2 }, /bits only with profile rd.*found profile rtn/],
    [{ profile: "rtn", group: 100 }, /group/],
    [{ profile: "rtn", floor: 1 }, /floor only with profile rd/],
    [{ profile: "sign", bits: 1 }, /bits only with profile rd.*found profile sign/],
    [{ profile: "raw", group: 64 }, /group only with profile rtn, sign/],
    [{ bits: 2, group: 64 }, /group only with profile rtn, sign.*found profile rd/],
  ] as const)("%j is refused", async (options, message) => {
    // Those of another profile do not compile.
    await expect(settings(options as EncodeOptions)).rejects.toThrow(message);
  });

  it("of two profiles do not compile together", async () => {
    const pairs: EncodeOptions[] = [
      // @ts-expect-error: codeBits belongs to rtn
      { codeBits: 2 },
      // @ts-expect-error: bits are the goal of rd
      { profile: "rtn", bits: 2 },
      // @ts-expect-error: one goal
      { bits: 2, maxError: 0.1 },
      // @ts-expect-error: raw has no groups
      { profile: "raw", group: 64 },
      // @ts-expect-error: a floor is of rd
      { profile: "sign", floor: 1 },
    ];
    for (const options of pairs) await expect(settings(options)).rejects.toThrow(/USAGE/);
  });

  it("bits alone is the goal of rd", async () => {
    const { settings } = await reportOn([makeModule({ out: 512, in: 768, rank: 8 })], { bits: 2 });
    expect(settings).toEqual({ profile: "rd", bits: 2, floor: 0, fit: "unbiased" });
  });
});
