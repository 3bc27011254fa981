/** An adapter against a base model: the shapes of its tensors, or the sizes its configuration gives. */

import { describe, expect, it } from "vitest";
import { type BaseSizes, compareWithBase, type ModuleShape } from "../../src/core/index.ts";
import { shape } from "../container/fixtures.ts";

/** Llama of 2 layers: 4 heads of 16, 2 of them for keys and values. */
const SIZES: BaseSizes = {
  layers: 2,
  hidden: 64,
  intermediate: [128, 32],
  queries: 64,
  keys: 32,
  vocabulary: 1000,
};
const layer = (name: string, out: number, input: number): ModuleShape =>
  shape(name, { out, in: input }) as ModuleShape;

function check(module: ModuleShape, sizes: Partial<BaseSizes> = {}): string {
  // Only shape and name are looked at.
  const modules = [module] as unknown as Parameters<typeof compareWithBase>[0]["modules"];
  const { findings, warnings } = compareWithBase(
    { modules },
    { kind: "config", sizes: { ...SIZES, ...sizes } },
  );
  return [...findings.map(({ message }) => message), ...warnings.map(({ kind }) => kind)].join("; ");
}

describe("a configuration", () => {
  it.each([
    ["model.layers.0.self_attn.q_proj", 64, 64],
    ["model.layers.1.self_attn.k_proj", 32, 64],
    ["model.layers.1.self_attn.o_proj", 64, 64],
    ["model.layers.1.mlp.down_proj", 64, 128],
    ["model.layers.1.mlp.experts.3.gate_proj", 32, 64],
    ["lm_head", 1000, 64],
    ["lm_head", 1008, 64],
  ])("fits %s of %i × %i", (name, out, input) => {
    expect(check(layer(name, out, input))).toBe("");
  });

  it.each([
    ["model.layers.0.self_attn.k_proj", 64, 64, "BASE_SHAPE", "out 32 (keys)"],
    ["model.layers.0.mlp.up_proj", 100, 64, "BASE_SHAPE", "out 128 or 32 (intermediate)"],
    ["model.layers.0.self_attn.q_proj", 64, 48, "BASE_SHAPE", "in 64 (hidden)"],
    ["model.layers.2.self_attn.q_proj", 64, 64, "BASE_MODULE_MISSING", "a layer from 0 to 1"],
    ["transformer.h.7.attn.c_attn", 64, 64, "BASE_MODULE_MISSING", "a layer from 0 to 1"],
    ["lm_head", 900, 64, "BASE_SHAPE", "out 1000 (vocabulary)"],
  ])("does not fit %s of %i × %i", (name, out, input, kind, expected) => {
    expect(check(layer(name, out, input))).toContain(kind);
    expect(check(layer(name, out, input))).toContain(`expected ${expected}`);
  });

  it("says nothing about layers it does not know, whatever they are called", () => {
    for (const name of ["model.layers.0.attn.c_attn", "constructor", "__proto__", "a.toString"])
      expect(check(layer(name, 1, 2))).toBe("BASE_LAYER_UNKNOWN");
    expect(check(layer("q_proj", 1, 2), { queries: undefined, hidden: undefined })).toBe(
      "BASE_LAYER_UNKNOWN",
    );
  });
});

describe("tensors of a base model", () => {
  const shapes = new Map([
    ["a.weight", [64, 32]],
    ["b", [64, 32]],
    ["__proto__.weight", [64, 32]],
  ]);
  const compare = (modules: ModuleShape[], most?: number) =>
    compareWithBase({ modules: modules as never }, { kind: "shapes", shapes }, most);

  it("fit by name and by shape", () => {
    const { findings, warnings } = compare([
      layer("a", 64, 32),
      layer("b", 64, 32),
      layer("__proto__", 64, 32),
    ]);
    expect({ findings, warnings }).toEqual({ findings: [], warnings: [] });
  });

  it("show every module that does not fit, and count those beyond the number asked for", () => {
    const modules = [layer("a", 32, 64), layer("c", 64, 32), layer("constructor", 64, 32)];
    expect(compare(modules).findings.map(({ kind }) => kind)).toEqual([
      "BASE_SHAPE",
      "BASE_MODULE_MISSING",
      "BASE_MODULE_MISSING",
    ]);
    expect(compare(modules, 1)).toMatchObject({ findings: [{ kind: "BASE_SHAPE" }], omitted: 2 });
  });
});
