/** The estimate of answers: its arithmetic on dense ΔW, where it is silent, and that it grows with what is lost. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { LoraModule } from "../../src/core/index.ts";
import { type EncodeOptions, encodeAdapter, type ModuleQuality } from "../../src/encode/index.ts";
import { estimateDivergence, outlookOf } from "../../src/encode/quantize/answers.ts";
import { makeModule } from "./modules.ts";

// What the bench fitted, and says how far off it is.
const program = readFileSync(new URL("../../bench/functional/estimate.py", import.meta.url), "utf8");
const fitted = /^SHRINKAGE, DIVERGENCE, NEAR, FAR = ([\d.]+), ([\d.]+), ([\d.]+), ([\d.]+)/m.exec(program)!;
const [SHRINKAGE, DIVERGENCE] = fitted.slice(1).map(Number) as [number, number];

const module = makeModule({ out: 64, in: 48, rank: 4 });
const loss = (errorEnergy: number, gain: number): ModuleQuality =>
  ({ energy: 10, errorEnergy, gain }) as ModuleQuality;
const estimate = (shape: Partial<LoraModule>, quality: ModuleQuality): number | undefined =>
  estimateDivergence([{ ...module, ...shape }], [quality]);
const encoded = async (modules: LoraModule[], options: EncodeOptions) =>
  (await encodeAdapter({ modules, tensors: [], origin: undefined, meta: {} }, options)).report;

describe("the estimated divergence", () => {
  it("counts noise by the width of the model, and shrinkage many times as much, as the bench has it", () => {
    const noise = estimate({}, loss(1, 1))!;
    expect(noise).toBeCloseTo(DIVERGENCE / 48, 12);
    expect(estimate({ in: 96 }, loss(1, 1))).toBeCloseTo(noise / 2, 12);
    // A dropped module loses all of its energy along ΔW.
    expect(estimate({}, loss(10, 0))).toBeCloseTo(10 * SHRINKAGE * noise, 12);
    expect(estimate({}, loss(0, 1))).toBe(0);
    // The width is that of the median module, and losses add up.
    const wide = { ...module, in: 480 };
    const three = [wide, module, module];
    expect(
      estimateDivergence(
        three,
        three.map(() => loss(1, 1)),
      ),
    ).toBeCloseTo(3 * noise, 12);
  });

  it("takes a token to use one row of an embedding, and one expert", () => {
    const linear = estimate({}, loss(1, 1))!;
    expect(estimate({ role: "embedding", in: 1000, out: 48 }, loss(1, 1))).toBeCloseTo(linear / 1000, 15);
    expect(estimate({ experts: 8 }, loss(1, 1))).toBeCloseTo(linear / 8, 15);
  });

  it("prefers what was measured with the model", () => {
    expect(estimate({}, { ...loss(1, 1), divergence: 0.5 })).toBe(0.5);
  });

  it.each([
    ["transformer.h.0.attn.c_attn", true],
    ["base.language_model.model.layers.31.mlp.up_proj", true],
    ["gpt_neox.layers.0.attention.query_key_value", true],
    ["unet.down_blocks.0.attn.to_q", false],
    ["vision_encoder.layers.0.attn.qkv", false],
    ["text_model.encoder.layers.0.self_attn.q_proj", false],
    ["transformer.single_transformer_blocks.0.attn.to_q", false],
  ])("is for decoders of language: %s %s", (name, spoken) => {
    expect(estimate({ name }, loss(1, 1)) !== undefined).toBe(spoken);
  });

  it("is not in the report of other models", async () => {
    expect(estimate({ role: "conv2d", kernel: [3, 3] }, loss(1, 1))).toBeUndefined();
    const report = await encoded([{ ...module, name: "text_encoder.layers.0.q_proj" }], { quality: "high" });
    expect(report).not.toHaveProperty("divergence");
    expect(report).not.toHaveProperty("outlook");
  });
});

describe("the outlook", () => {
  it.each([
    [0, "weights", 0, "same"],
    [9e-5, "weights", 0.019, "same"],
    [9e-5, "weights", 0.021, "try"],
    [1.1e-4, "weights", 0.001, "try"],
    [5.1e-3, "weights", 0.001, "changes"],
    [9e-5, "weights", 0.21, "changes"],
    [4e-4, "calibration", 0.5, "same"],
    [6e-4, "calibration", 0.01, "try"],
    [3.1e-2, "calibration", 0.01, "changes"],
  ] as const)("of %d nats by %s, with %d lost, is %s", (divergence, from, lost, expected) => {
    expect(outlookOf(divergence, from, lost)).toBe(expected);
  });

  it("of the adapters of other models is never the best where answers changed", () => {
    // Measured divergence, and that over the estimate: Qwen2.5-Coder 0.5B, Gemma 3 270M.
    const bench = readFileSync(new URL("../../bench/functional/outlook.py", import.meta.url), "utf8");
    const pairs = [...bench.matchAll(/\((0\.\d+), (\d+)\)/g)].map((m) => [Number(m[1]), Number(m[2])]);
    expect(pairs).toHaveLength(9);
    for (const [measured, times] of pairs as [number, number][])
      if (measured > 0.03) expect(outlookOf(measured / times, "weights", 0)).not.toBe("same");
  });

  it("is worse with fewer bits", async () => {
    const options: EncodeOptions[] = [{ profile: "raw" }, { quality: "low" }, { profile: "sign" }];
    const found = await Promise.all(options.map(async (one) => (await encoded([module], one)).outlook));
    expect(found[0]).toBe("same");
    expect(found[2]).toBe("changes");
  });

  it("is not in the report of classifiers", () => {
    const names = ["base_model.score.weight"];
    expect(estimateDivergence([module], [loss(1, 1)], names)).toBeUndefined();
    expect(estimateDivergence([module], [loss(1, 1)], ["model.norm.weight"])).toBeDefined();
  });
});
