import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { layerPlaces, naturalOrder, shortLabels } from "../../src/report/layers.ts";

const placed = (...names: string[]): string[] =>
  layerPlaces(names).map(({ layer, projection }) => `${layer}|${projection}`);

describe("the place of a module", () => {
  it("is its layer and its projection", () => {
    expect(placed("model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj")).toEqual([
      "model.layers.0|self_attn.q_proj",
      "model.layers.0|mlp.up_proj",
    ]);
    expect(placed("transformer.h.0.attn.c_attn", "transformer.h.11.attn.c_attn", "lm_head")).toEqual([
      "transformer.h.0|attn.c_attn",
      "transformer.h.11|attn.c_attn",
      "|lm_head",
    ]);
  });

  it("is not at a number that only one module has", () => {
    expect(placed("blocks.0.attn.q", "blocks.0.ff.net.2.proj", "blocks.0.to_out.0")).toEqual([
      "blocks.0|attn.q",
      "blocks.0|ff.net.2.proj",
      "blocks.0|to_out.0",
    ]);
    expect(placed("layers.0.experts.1.w1", "layers.0.experts.1.w2")).toEqual([
      "layers.0.experts.1|w1",
      "layers.0.experts.1|w2",
    ]);
  });

  it("is found between underscores too", () => {
    expect(placed("lora_te_layers_3_q", "lora_te_layers_3_k")).toEqual([
      "lora_te_layers_3|q",
      "lora_te_layers_3|k",
    ]);
  });
});

describe("short labels", () => {
  it("leave out what all begin or end with", () => {
    expect(shortLabels(["model.layers.0", "model.layers.10"])).toEqual(["0", "10"]);
    expect(shortLabels(["down.0.block.0", "mid.0.block.0", "up.1.2.block.0"])).toEqual([
      "down.0",
      "mid.0",
      "up.1.2",
    ]);
    expect(shortLabels(["self_attn.q_proj", "self_attn.v_proj"])).toEqual(["q_proj", "v_proj"]);
    expect(shortLabels(["lora_unet_0_q", "lora_unet_1_q"])).toEqual(["0", "1"]);
    expect(shortLabels(["a.b", "a.b"])).toEqual(["b", "b"]);
    expect(shortLabels(["x", "x.y"])).toEqual(["x", "x.y"]);
    expect(shortLabels(["only.one"])).toEqual(["only.one"]);
    expect(shortLabels([])).toEqual([]);
  });
});

describe("names in natural order", () => {
  it("have their numbers by value", () => {
    const names = [
      "h.10.b",
      "h.9.b",
      "h.9.a",
      "h",
      "h.010.b",
      "h.2",
      "a10",
      "h.99999999999999999999",
      "h.99999999999999999998",
    ];
    expect([...names].reverse().sort(naturalOrder)).toEqual([
      ...["a10", "h", "h.2", "h.9.a", "h.9.b", "h.010.b", "h.10.b"],
      ...["h.99999999999999999998", "h.99999999999999999999"],
    ]);
  });

  it("are ordered totally", () => {
    const name = fc.stringMatching(/^[a0-9.]{0,6}$/);
    fc.assert(
      fc.property(name, name, name, (x, y, z) => {
        expect(Math.sign(naturalOrder(x, y))).toBe(-Math.sign(naturalOrder(y, x)) || 0);
        expect(naturalOrder(x, y) === 0).toBe(x === y);
        if (naturalOrder(x, y) < 0 && naturalOrder(y, z) < 0) expect(naturalOrder(x, z)).toBeLessThan(0);
      }),
    );
  });
});
