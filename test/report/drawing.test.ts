/** How reports are drawn, from inside: places of modules and of labels, names in order, colours. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { labelPlaces } from "../../src/report/label-places.ts";
import { layerPlaces, naturalOrder, shortLabels } from "../../src/report/layers.ts";
import { heatMap } from "../../src/report/page/heat-map.ts";
import { effectiveRank } from "../../src/report/page/module-tables.ts";

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

describe("places of labels", () => {
  const plot = { left: 0, right: 600, top: 0, bottom: 400 };
  it("cover neither each other nor a mark while there is room", () => {
    const points = Array.from({ length: 8 }, (_, i) => ({
      x: 200 + 3 * i,
      y: 200 + 2 * i,
      label: `label ${i}`,
    }));
    const places = labelPlaces(points, { plot, occupied: points });
    const boxes = places.map(({ x, y, anchor }, i) => {
      const width = 6.5 * points[i]!.label.length;
      return { left: anchor === "start" ? x : x - width, top: y - 11, width, height: 13 };
    });
    for (const [i, p] of boxes.entries()) {
      for (const q of boxes.slice(i + 1))
        expect(
          p.left < q.left + q.width &&
            q.left < p.left + p.width &&
            p.top < q.top + q.height &&
            q.top < p.top + p.height,
        ).toBe(false);
      for (const { x, y } of points)
        expect(x > p.left && x < p.left + p.width && y > p.top && y < p.top + p.height).toBe(false);
    }
    expect(places.some(({ leader }) => leader !== undefined)).toBe(true);
  });

  it("stay inside the plot, and exist without room", () => {
    const [right] = labelPlaces([{ x: 590, y: 10, label: "a long label" }], { plot, occupied: [] });
    expect(right).toMatchObject({ anchor: "end", leader: undefined });
    const crowded = Array.from({ length: 400 }, () => ({ x: 300, y: 200, label: "same" }));
    expect(labelPlaces(crowded, { plot, occupied: [] })).toHaveLength(400);
  });
});

it("counts the components that hold most of the energy of a module", () => {
  const rank = (...values: number[]) => effectiveRank({ singularValues: Float64Array.from(values) });
  expect([rank(1, 1, 0, 0), rank(10, 0.1), rank(1, 1, 1, 1), rank(0, 0)]).toEqual([2, 1, 4, undefined]);
  expect(effectiveRank({ singularValues: undefined })).toBeUndefined();
});

it("says what the colours of a map mean", () => {
  const module = (layer: number, value: number) => ({ layer: `layers.${layer}`, projection: "q", value });
  const draw = (values: number[], logarithmic: boolean) =>
    heatMap(
      values.map((value, i) => module(i, value)),
      {
        caption: "x",
        value: (one) => one.value,
        text: (value) => `<${value}>`,
        logarithmic,
      },
    ).markup.replace(/<table[\s\S]*$/, "");
  // Zero has no logarithm: the colours do not begin at it.
  expect(draw([0, 1, 100], true)).toMatch(/&lt;1&gt;.*&lt;100&gt;.*steps of equal ratio, 0 as the lowest/s);
  expect(draw([0, 1, 100], false)).toMatch(/&lt;0&gt;.*&lt;100&gt;.*steps of equal size</s);
  expect(draw([3, 3], false)).toContain("all &lt;3&gt;");
});
