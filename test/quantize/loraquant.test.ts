import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LoraQuantOptions } from "../../src/encode/index.ts";
import { expectValid, makeModule, quantizeModule } from "./modules.ts";

const loraquant = (variant = "2@0.8", more: Partial<LoraQuantOptions> = {}): LoraQuantOptions => ({
  profile: "loraquant",
  variant,
  ...more,
});

describe("the loraquant profile", () => {
  it("reaches the errors of the paper's loop on normal data", () => {
    const module = makeModule({ out: 4096, in: 11008, rank: 1 });
    const error = (variant: string, refine: "search" | "none" | "sgd") =>
      Math.sqrt(quantizeModule(module, loraquant(variant, { refine })).quality.relativeError);
    expect(Math.abs(error("2@0.8", "search") / 0.496 - 1)).toBeLessThan(0.03);
    expect(Math.abs(error("2@0.8", "sgd") / 0.5 - 1)).toBeLessThan(0.03);
    expect(Math.abs(error("2@0.8", "none") / 0.751 - 1)).toBeLessThan(0.03);
    expect(Math.abs(error("3@0.8", "search") / 0.26 - 1)).toBeLessThan(0.03);
    expect(Math.abs(error("3@0.8", "sgd") / 0.262 - 1)).toBeLessThan(0.03);
    expect(Math.abs(error("3@0.8", "none") / 0.306 - 1)).toBeLessThan(0.03);
  });

  it("counts bits as the paper does", () => {
    const { quality } = quantizeModule(makeModule({ out: 256, in: 384, rank: 8 }), loraquant("3@0.9"));
    const strong = quality.bands[0]!.components;
    expect(quality.averageBits).toBeCloseTo(1.125 + (2.0234375 * strong) / 8, 12);
    const odd = quantizeModule(makeModule({ out: 130, in: 7, rank: 1 }), loraquant()).quality;
    expect(odd.averageBits * 137).toBeCloseTo(2 * 137 + 3 * (16 + 2), 9);
  });

  it("binarises all components but the strong ones", () => {
    const module = makeModule({ out: 64, in: 64, rank: 6 });
    const { quality } = quantizeModule(module, loraquant("2@0.8", { group: 64 }));
    expect(quality.bands.map(({ b }) => b)).toEqual(["affine2 g64 f16", "sign g64 f16"]);
    const text = quantizeModule(module, loraquant("2@1", { hRule: "text" })).quality;
    expect(text.bands).toEqual([{ components: 6, b: "affine2 g128 f16", a: "affine2 g128 f16" }]);
  });

  it("gives valid planes for every shape, variant and option", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 7, 33, 130, 576),
        fc.constantFrom(1, 7, 130, 200),
        fc.constantFrom(1, 2, 6, 7, 12),
        fc.record({
          bits: fc.integer({ min: 1, max: 8 }),
          coverage: fc.constantFrom("0.1", "0.8", "0.95", "1"),
        }),
        fc.record({
          hRule: fc.constantFrom("code" as const, "text" as const),
          refine: fc.constantFrom("search" as const, "none" as const, "sgd" as const),
          group: fc.constantFrom(0, 16, 128, 1024),
        }),
        fc.constantFrom(1e-9, 1, 1e6),
        fc.nat(),
        (out, n, rank, { bits, coverage }, more, scale, seed) => {
          const plain = makeModule({ out, in: n, rank, experts: 1 + (seed % 2) }, seed);
          const module = { ...plain, b: plain.b.map((x) => x * scale) };
          const { factors, quality } = quantizeModule(module, loraquant(`${bits}@${coverage}`, more));
          expectValid(module, factors);
          expect(quality.relativeError).toBeLessThan(more.refine === "search" ? 1 : 1e12);
        },
      ),
      { numRuns: 60 },
    );
  }, 30000);

  it("gives the same bytes each time", () => {
    const module = makeModule({ out: 130, in: 70, rank: 6, experts: 2 });
    for (const refine of ["search", "none", "sgd"] as const) {
      const again = { ...module, a: module.a.slice(), b: module.b.slice() };
      expect(quantizeModule(again, loraquant("2@0.9", { refine }))).toEqual(
        quantizeModule(module, loraquant("2@0.9", { refine })),
      );
    }
  });
});

describe("special inputs", () => {
  it("an untrained module (B = 0) keeps its rank and stores nothing", () => {
    const module = makeModule({ out: 96, in: 130, rank: 4 }, 1, { b: () => 0 });
    const { factors, quality } = quantizeModule(module, loraquant());
    expect(factors.bands).toEqual([{ components: 4, b: { codec: "zero" }, a: { codec: "zero" } }]);
    expect(quality).toMatchObject({ averageBits: 0, relativeError: 0, cosine: 1, energy: 0, errorEnergy: 0 });
    expectValid(module, factors);
  });

  it("a rank above a dimension leaves a band of zeros", () => {
    const { quality } = quantizeModule(makeModule({ out: 1, in: 100, rank: 8 }), loraquant("8@1"));
    expect(quality.bands.map(({ components, b }) => `${components} ${b}`)).toEqual([
      "1 affine8 g128 f16",
      "7 zero",
    ]);
    expect(quality.relativeError).toBeLessThan(1e-4);
  });

  it("tiny weights take bf16 scales and lose no quality", () => {
    const module = makeModule({ out: 256, in: 256, rank: 4 });
    const tiny = { ...module, b: module.b.map((x) => x * 1e-9), a: module.a.map((x) => x * 1e-9) };
    const { quality } = quantizeModule(tiny, loraquant());
    expect(quality.bands.map(({ a }) => a)).toEqual(["affine2 g128 bf16", "sign g128 bf16"]);
    expect(quality.relativeError).toBeLessThan(
      quantizeModule(module, loraquant()).quality.relativeError * 1.01,
    );
    // The authors' floor of 1e-5 rounds the strong components of such a module away.
    const faithful = quantizeModule(tiny, loraquant("2@0.8", { refine: "none" })).quality;
    expect(faithful.relativeError).toBeGreaterThan(0.7);
  });

  it("large weights take bf16 scales where binary16 overflows", () => {
    const module = makeModule({ out: 256, in: 256, rank: 4 });
    const large = { ...module, b: module.b.map((x) => x * 1e6), a: module.a.map((x) => x * 1e6) };
    const { factors, quality } = quantizeModule(large, loraquant());
    expectValid(large, factors);
    expect(quality.bands[0]!.b).toBe("affine2 g128 bf16");
    expect(quality.relativeError).toBeLessThan(0.5);
  });

  it("weights beyond bf16 are refused by name", () => {
    const huge = makeModule({ out: 64, in: 64, rank: 2 }, 1, { b: () => 3e38, a: () => 3e38 });
    expect(() => quantizeModule(huge, loraquant())).toThrow(/SOURCE_RANGE.*layers\.0\.q_proj.*factor B/);
  });

  it("NaN and Inf are refused with module, factor and index", () => {
    for (const profile of ["loraquant", "raw"] as const) {
      const module = makeModule({ out: 8, in: 8, rank: 2 });
      module.a[5] = Number.NaN;
      expect(() => quantizeModule(module, { profile })).toThrow(
        /SOURCE_NONFINITE.*q_proj", factor A, index 5/,
      );
      module.b[3] = Number.NEGATIVE_INFINITY;
      expect(() => quantizeModule(module, { profile })).toThrow(/SOURCE_NONFINITE.*factor B, index 3/);
    }
  });

  it("constant and one-signed factors are coded closely", () => {
    const constant = makeModule({ out: 130, in: 130, rank: 1 }, 1, { b: () => 0.25, a: () => -0.5 });
    expect(quantizeModule(constant, loraquant()).quality.relativeError).toBeLessThan(1e-6);
    const oneSigned = makeModule({ out: 130, in: 130, rank: 1 }, 1, {
      b: (i) => 1 + (i % 5) / 8,
      a: (i) => -1 - (i % 3),
    });
    expect(quantizeModule(oneSigned, loraquant("3@0.9")).quality.relativeError).toBeLessThan(0.01);
  });

  it("the widths 1, 7, 130, 576 and 2880 work in every combination", () => {
    for (const out of [1, 7, 130, 576, 2880]) {
      for (const n of [1, 7, 130, 576, 2880]) {
        const module = makeModule({ out, in: n, rank: 6 }, out + n);
        const { factors, quality } = quantizeModule(module, loraquant("2@0.9"));
        expectValid(module, factors);
        expect(quality.relativeError).toBeLessThan(0.6);
      }
    }
  });

  it("experts share one band plan", () => {
    const module = makeModule({ out: 40, in: 30, rank: 4, experts: 3 });
    module.b.fill(0, 40 * 4, 2 * 40 * 4);
    const { factors, quality } = quantizeModule(module, loraquant("3@0.9"));
    expectValid(module, factors);
    expect(factors.bands.length).toBe(2);
    expect(quality.parameters).toBe(3 * 4 * 70);
    expect(quality.relativeError).toBeLessThan(0.5);
  });
});
