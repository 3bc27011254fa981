import { describe, expect, it } from "vitest";
import type { LoraQuantOptions, Quality } from "../../src/encode/index.ts";
import { readAdapter } from "./adapters.ts";
import { expectValid, quantizeModule, totalQuality } from "./modules.ts";

const modules = readAdapter("gpt2-tigrinya-r8", 4);

function measure(options: Partial<LoraQuantOptions>): Quality {
  return totalQuality(
    modules!.map((module) => {
      const { factors, quality } = quantizeModule(module, { profile: "loraquant", ...options });
      expectValid(module, factors);
      return quality;
    }),
  );
}

describe.skipIf(modules === undefined)("a trained adapter (gpt2, rank 8)", () => {
  it("has the known size and error at 2@0.8", () => {
    const search = measure({ variant: "2@0.8" });
    expect(search.averageBits).toBeCloseTo(1.25, 1);
    expect(search.relativeError).toBeGreaterThan(0.26);
    expect(search.relativeError).toBeLessThan(0.32);
    const none = measure({ variant: "2@0.8", refine: "none" });
    expect(none.averageBits).toBe(search.averageBits);
    expect(none.relativeError).toBeGreaterThan(0.46);
    expect(none.relativeError).toBeLessThan(0.56);
  });

  it("is coded by the search as well as by the authors' loop", () => {
    for (const variant of ["2@0.8", "3@0.9"]) {
      const search = measure({ variant }).relativeError;
      const sgd = measure({ variant, refine: "sgd" }).relativeError;
      expect(search).toBeLessThan(sgd * 1.01);
    }
  }, 60000);
});
