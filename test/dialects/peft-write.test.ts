/** PEFT out again: the same bytes where nothing changed, a refusal where PEFT would compute something else. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import type { Adapter, LoraModule, Origin } from "../../src/core/index.ts";
import { normal } from "../helpers/random.ts";
import { readSafetensors, type SafeTensor } from "../helpers/safetensors.ts";
import { directory, floats, pair, zeros } from "./build.ts";

const P = "base_model.model.";
const WEIGHTS = "adapter_model.safetensors";

function expectSame(files: Map<string, Uint8Array>): Adapter {
  const adapter = readAdapter(files);
  expect([...writeAdapter(adapter, { factors: "source" })]).toEqual([...files]);
  return adapter;
}

describe("a round trip", () => {
  it("gives a usual adapter back byte for byte and records nothing but what it must", () => {
    const { origin } = expectSame(directory([...pair("layers.0.q"), ...pair("layers.10.q")]));
    expect(Object.keys(origin!).sort()).toEqual(["config", "dialect", "element", "metadata"]);
    expect(origin).toMatchObject({ dialect: "peft", element: "F32", metadata: [["format", "pt"]] });
  });

  const named = (name: string, element: "F32" | "F16" | "BF16" = "F32"): [string, SafeTensor][] => [
    [`${P}${name}.lora_A.weight`, floats([2, 6], 3, element)],
    [`${P}${name}.lora_B.weight`, floats([5, 2], 4, element)],
  ];
  const cases: [string, [string, SafeTensor][], object, string[]][] = [
    ["F16", named("q", "F16"), {}, []],
    ["BF16", named("q", "BF16"), {}, []],
    [
      "mixed types",
      [...named("q", "BF16"), ...named("k", "F16"), ...named("v"), ...named("o")],
      {},
      ["elements"],
    ],
    ["DoRA", [...named("q"), [`${P}q.lora_magnitude_vector`, floats([5])]], { use_dora: true }, []],
    ["LoRA biases", [...named("q"), [`${P}q.lora_B.bias`, floats([5])]], { lora_bias: true }, []],
    [
      "biases of adapted layers",
      [...named("q"), [`${P}q.base_layer.bias`, floats([5])]],
      { bias: "all" },
      [],
    ],
    [
      "biases as PEFT 0.5 named them",
      [...named("q"), [`${P}q.bias`, floats([5])]],
      { bias: "lora_only" },
      ["keys"],
    ],
    [
      "saved modules",
      [...named("q"), [`${P}c.w`, floats([3, 4], 5, "F16")], [`${P}c.n`, zeros([], "I64", 8)]],
      { modules_to_save: ["c"] },
      [],
    ],
    [
      "wrapped modules",
      [...named("q"), [`${P}c.modules_to_save.default.w`, floats([3])]],
      { modules_to_save: ["c"] },
      ["keys"],
    ],
    [
      "carried tensors",
      [...named("q"), [`${P}c.original_module.w`, floats([3])]],
      { modules_to_save: ["c"] },
      [],
    ],
    [
      "token rows",
      [...named("q"), [`${P}e.token_adapter.trainable_tokens_delta`, floats([2, 4])]],
      { trainable_token_indices: [9, 4] },
      [],
    ],
    ["attention", [...named("mha"), ...named("mha.base_layer.out_proj")], {}, ["keys"]],
    [
      "keys of a model in memory",
      [
        [`${P}q.lora_A.default.weight`, floats([2, 6])],
        [`${P}q.lora_B.default.weight`, floats([5, 2])],
        [`${P}q.lora_magnitude_vector.default.weight`, floats([5])],
        [`${P}e.lora_embedding_A.default`, floats([2, 6])],
        [`${P}e.lora_embedding_B.default`, floats([5, 2])],
        [`${P}e.lora_magnitude_vector.default`, floats([5])],
      ],
      { use_dora: true },
      ["adapter_name", "keys"],
    ],
    [
      "keys without prefix",
      [
        ["q.lora_A.weight", floats([2, 6])],
        ["q.lora_B.weight", floats([5, 2])],
      ],
      {},
      ["prefix"],
    ],
    [
      "prototype names",
      [...named("constructor"), ...named("a.__proto__", "F16"), ...named("10"), ...named("2")],
      {},
      ["elements"],
    ],
  ];
  it.each(cases)("keeps %s", (_name, tensors, config, exceptions) => {
    const { origin } = expectSame(directory(tensors, config));
    const usual = ["config", "dialect", "element", "metadata"];
    expect(Object.keys(origin!).sort()).toEqual([...usual, ...exceptions].sort());
  });

  it("keeps the order of metadata and tensors, where they are not the usual ones", () => {
    const tensors = [...pair("b"), ...pair("a")];
    const files = directory(tensors, {}, tensors.map(([key]) => key).reverse());
    const { origin } = expectSame(files);
    expect(origin!.order).toHaveLength(4);
  });

  it("rounds factors once to the requested type, and nothing else", () => {
    const adapter = readAdapter(
      directory([...pair("q"), [`${P}q.lora_magnitude_vector`, floats([5])]], { use_dora: true }),
    );
    for (const factors of ["F16", "BF16", "F32"] as const) {
      const { tensors } = readSafetensors(writeAdapter(adapter, { factors }).get(WEIGHTS)!);
      expect(tensors.get(`${P}q.lora_A.weight`)!.element).toBe(factors);
      expect(tensors.get(`${P}q.lora_magnitude_vector`)!.element).toBe("F32");
    }
    const [module] = adapter.modules as [LoraModule];
    module.a[0] = 1 + 2 ** -11; // a tie: to even
    module.a[1] = -65520; // the least that overflows binary16
    expect(() => writeAdapter(adapter, { factors: "F16" })).toThrow(/SOURCE_RANGE.*factor A of module "q"/);
    module.a[1] = -65519;
    const { tensors } = readSafetensors(writeAdapter(adapter, { factors: "F16" }).get(WEIGHTS)!);
    expect([...tensors.get(`${P}q.lora_A.weight`)!.data.subarray(0, 4)]).toEqual([0x00, 0x3c, 0xff, 0xfb]);
  });

  it("does not share memory with the origin record", () => {
    const files = directory(pair("q"));
    const written = writeAdapter(readAdapter(files), { factors: "source" });
    written.get("adapter_config.json")!.fill(0);
    expect(files.get("adapter_config.json")![0]).not.toBe(0);
  });
});

describe("an adapter that changed since it was read", () => {
  const original = readAdapter(directory(pair("q")));
  const changed = (module: Partial<LoraModule>): Adapter => ({
    ...original,
    modules: [{ ...original.modules[0]!, ...module }],
  });
  it.each<[string, Partial<LoraModule>]>([
    ["rank", { rank: 3, a: new Float32Array(18), b: new Float32Array(15) }],
    ["multiplier", { multiplier: 3 }],
    ["base layout", { baseLayout: "in-out" }],
    ["experts", { experts: 2 }],
  ])("is refused: %s", (_name, module) => {
    expect(() => writeAdapter(changed(module), { factors: "source" })).toThrow(/UNSUPPORTED_DIALECT.*"q"/);
  });

  it("has a rank of its own where all ranks are below the configuration's", () => {
    const lower = changed({ rank: 1, a: new Float32Array(6), b: new Float32Array(5) });
    const { modules } = readAdapter(writeAdapter(lower, { factors: "source" }));
    expect(modules).toMatchObject([{ name: "q", rank: 1, multiplier: original.modules[0]!.multiplier }]);
  });

  it("is refused: DoRA added or lost, token indices changed", () => {
    const magnitude = {
      name: "q",
      role: "magnitude" as const,
      element: "F32" as const,
      shape: [5],
      axis: 0,
      data: new Uint8Array(20),
    };
    expect(() => writeAdapter({ ...original, tensors: [magnitude] }, { factors: "F32" })).toThrow(
      /UNSUPPORTED_DIALECT/,
    );
    const rows = [...pair("q"), [`${P}e.token_adapter.trainable_tokens_delta`, floats([2, 4])] as const];
    const tokens = readAdapter(directory(rows, { trainable_token_indices: [1, 2] }));
    const other = tokens.tensors.map((tensor) =>
      tensor.role === "token-indices" ? { ...tensor, data: Uint8Array.of(1, 0, 0, 0, 3, 0, 0, 0) } : tensor,
    );
    expect(() => writeAdapter({ ...tokens, tensors: other }, { factors: "F32" })).toThrow(
      /UNSUPPORTED_DIALECT/,
    );
  });

  it("may have lost modules, or have its modules in another order", () => {
    const adapter = readAdapter(directory([...pair("a"), ...pair("b")], {}, undefined));
    const fewer = readAdapter(
      writeAdapter({ ...adapter, modules: adapter.modules.slice(1) }, { factors: "source" }),
    );
    expect(fewer.modules.map(({ name }) => name)).toEqual(["b"]);
    const reversed = writeAdapter(
      { ...adapter, modules: [...adapter.modules].reverse() },
      { factors: "source" },
    );
    expect([...reversed]).toEqual([...writeAdapter(adapter, { factors: "source" })]);
  });
});

describe("a hostile origin record", () => {
  const adapter = readAdapter(directory([...pair("a"), ...pair("b")]));
  it.each<[string, object]>([
    ["config of text", { config: "{}" }],
    ["no element", { element: null }],
    ["an element of another type", { element: "I8" }],
    ["metadata of numbers", { metadata: [["a", 1]] }],
    ["metadata as a map", { metadata: { a: "b" } }],
    ["metadata of three", { metadata: [["a", "b", "c"]] }],
    ["keys as a map", { keys: { a: "b" } }],
    ["keys of three", { keys: [["a", "b", "c"]] }],
    ["elements unknown", { elements: [["a", "F8", "F8"]] }],
    ["a numeric prefix", { prefix: 7 }],
    ["an order of numbers", { order: [1, 2] }],
    [
      "two tensors under one key",
      {
        keys: [
          [`${P}a.lora_A.weight`, "x"],
          [`${P}b.lora_A.weight`, "x"],
        ],
      },
    ],
  ])("%s", (_name, fields) => {
    const origin = { ...adapter.origin, ...fields } as unknown as Origin;
    expect(() => writeAdapter({ ...adapter, origin }, { factors: "source" })).toThrow(/UNSUPPORTED_DIALECT/);
  });
});

describe("an adapter from elsewhere", () => {
  const module = (
    name: string,
    rank: number,
    multiplier: number,
    more: Partial<LoraModule> = {},
  ): LoraModule => {
    const next = normal(rank);
    return {
      name,
      role: "linear",
      out: 3,
      in: 4,
      kernel: [],
      experts: 1,
      rank,
      baseLayout: "out-in",
      multiplier: Math.fround(multiplier),
      alpha: 0,
      rule: "none",
      b: Float32Array.from({ length: 3 * rank }, next),
      a: Float32Array.from({ length: rank * 4 }, next),
      ...more,
    };
  };
  const adapter = (modules: LoraModule[], tensors: Adapter["tensors"] = []): Adapter => ({
    modules,
    tensors,
    origin: undefined,
    meta: { base_model: "org/base" },
  });

  it("gets a configuration that gives every multiplier and rank back exactly", () => {
    const float = fc.float({ noNaN: true, min: -(2 ** 49), max: 2 ** 49 });
    const shape = fc.tuple(
      fc.stringMatching(/^[a-z0-9_.$^*+-]{1,12}$/),
      fc.integer({ min: 1, max: 9 }),
      float,
    );
    fc.assert(
      fc.property(
        fc.uniqueArray(shape, { selector: ([name]) => name, minLength: 1, maxLength: 6 }),
        (shapes) => {
          fc.pre(shapes.every(([name]) => !/(^|\.)(base_layer|lora_.*)?(\.|$)/.test(name)));
          const source = adapter(
            shapes.map(([name, rank, multiplier], at) => module(`${at}${name}`, rank, multiplier + 0)),
          );
          const back = readAdapter(writeAdapter(source, { factors: "source" }));
          const summary = ({ name, rank, multiplier, b, a }: LoraModule) =>
            [name, { rank, multiplier, b, a }] as const;
          expect(new Map(back.modules.map(summary))).toEqual(new Map(source.modules.map(summary)));
        },
      ),
    );
  });

  it("keeps its tensors", () => {
    const tensor = (name: string, role: Adapter["tensors"][number]["role"], shape: number[], axis = 0) => ({
      ...floats(shape),
      name,
      role,
      axis,
    });
    const indices = { ...zeros([2], "U32", 4), name: "emb", role: "token-indices" as const, axis: 0 };
    indices.data[4] = 5;
    const source = adapter(
      [module("q", 2, 0.5)],
      [
        tensor("q", "magnitude", [3]),
        tensor("emb", "token-rows", [2, 4]),
        indices,
        tensor("head.weight", "replace", [2, 2]),
        tensor("head.dense.weight", "replace", [2, 2]),
        tensor("lm_head.weight", "replace", [2, 2]),
        tensor("q.bias", "bias", [3]),
      ],
    );
    const back = readAdapter(writeAdapter(source, { factors: "F32" }));
    const byName = (a: { name: string; role: string }, b: { name: string; role: string }) =>
      a.name + a.role < b.name + b.role ? -1 : 1;
    expect([...back.tensors].sort(byName)).toEqual([...source.tensors].sort(byName));
    expect(back.meta).toEqual({ base_model: "org/base", source: "peft" });
  });

  it.each<[string, Adapter]>([
    ["both base layouts", adapter([module("a", 2, 1), module("b", 2, 1, { baseLayout: "in-out" })])],
    ["a multiplier beyond what JSON can say", adapter([module("a", 2, 2 ** 60)])],
    ["a module inside another", adapter([module("a", 2, 1), module("a.b.c", 2, 1)])],
    ["an infinite multiplier", adapter([module("a", 2, Number.POSITIVE_INFINITY)])],
    ["experts", adapter([module("a", 2, 1, { experts: 2 })])],
    ["an embedding stored as (dimension, vocabulary)", adapter([module("a", 2, 1, { role: "embedding" })])],
    [
      "a replaced tensor outside any layer",
      adapter([module("a", 2, 1)], [{ ...floats([1]), name: "x", role: "replace", axis: 0 }]),
    ],
    [
      "one magnitude for two modules",
      adapter(
        [module("a", 2, 1), module("b", 2, 1)],
        [{ ...floats([3]), name: "a", role: "magnitude", axis: 0 }],
      ),
    ],
  ])("is refused: %s", (_name, source) => {
    expect(() => writeAdapter(source, { factors: "F32" })).toThrow(/UNSUPPORTED_DIALECT/);
  });
});
