/** What PEFT's keys mean: modules, the other tensors, those that replace the base's, and nothing dropped. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readAdapter } from "../../src/adapters/index.ts";
import { isLqaError } from "../../src/core/index.ts";
import type { SafeTensor } from "../helpers/safetensors.ts";
import { directory, floats, pair, zeros } from "./build.ts";

const P = "base_model.model.";
const read = (tensors: Iterable<readonly [string, SafeTensor]>, config: object = {}) =>
  readAdapter(directory(tensors, config));
const roles = (tensors: Iterable<readonly [string, SafeTensor]>, config: object = {}) =>
  read(tensors, config).tensors.map(
    ({ name, role, axis }) => `${role} ${name}${axis === 0 ? "" : ` axis ${axis}`}`,
  );

describe("modules", () => {
  it("come in the order of the file, under the base model's names", () => {
    const tensors = [...pair("layers.10.v"), ...pair("layers.2.v"), ...pair("head")];
    const order = tensors.map(([key]) => key);
    const { modules, origin } = readAdapter(directory(tensors, {}, order));
    expect(modules.map(({ name }) => name)).toEqual(["layers.10.v", "layers.2.v", "head"]);
    expect(origin!.order).toEqual(order);
    expect(readAdapter(directory(tensors)).origin).not.toHaveProperty("order");
  });

  it("keep names that JavaScript objects stumble over", () => {
    const names = [
      "constructor",
      "toString",
      "hasOwnProperty",
      "layers.0",
      "0",
      "__proto__",
      "a.__proto__.b",
    ];
    const { modules } = read(names.flatMap((name) => pair(name)));
    expect(new Set(modules.map(({ name }) => name))).toEqual(new Set(names));
  });

  it("hold the factors as they are on disk", () => {
    const [[, a], [, b]] = pair("q") as [[string, SafeTensor], [string, SafeTensor]];
    const module = read(pair("q")).modules[0]!;
    expect([...new Uint8Array(module.a.buffer)]).toEqual([...a!.data]);
    expect([...new Uint8Array(module.b.buffer)]).toEqual([...b!.data]);
    expect(module).toMatchObject({
      role: "linear",
      out: 5,
      in: 6,
      rank: 2,
      experts: 1,
      kernel: [],
    });
  });

  it.each([
    ["conv1d", [2, 3, 7], [4, 2, 1]],
    ["conv2d", [2, 3, 7, 5], [4, 2, 1, 1]],
    ["conv3d", [2, 3, 7, 5, 1], [4, 2, 1, 1, 1]],
  ])("%s", (role, a, b) => {
    const tensors = [
      [`${P}c.lora_A.weight`, floats(a)],
      [`${P}c.lora_B.weight`, floats(b)],
    ] as const;
    expect(read(tensors).modules[0]).toMatchObject({ role, out: 4, in: 3, kernel: a.slice(2), rank: 2 });
  });

  it("take their pattern from the outermost wrapped layer", () => {
    const tensors = [...pair("mha"), ...pair("mha.base_layer.out_proj", { rank: 2 })];
    const { modules } = read(tensors, { alpha_pattern: { mha: 6, out_proj: 40 } });
    expect(modules.map(({ name, multiplier }) => [name, multiplier])).toEqual([
      ["mha.out_proj", 3],
      ["mha", 3],
    ]);
  });
});

describe("tensors beside a module", () => {
  it("DoRA magnitudes, along the output axis of the base weight", () => {
    const linear = [...pair("q"), [`${P}q.lora_magnitude_vector`, floats([5])] as const];
    expect(roles(linear, { use_dora: true })).toEqual(["magnitude q"]);
    expect(roles(linear, { use_dora: true, fan_in_fan_out: true })).toEqual(["magnitude q axis 1"]);
    const embedding = [
      [`${P}e.lora_embedding_A`, floats([2, 9])],
      [`${P}e.lora_embedding_B`, floats([4, 2])],
      [`${P}e.lora_magnitude_vector`, floats([4])],
    ] as const;
    expect(roles(embedding, { use_dora: true })).toEqual(["magnitude e axis 1"]);
    const convolution = [
      [`${P}c.lora_A.weight`, floats([2, 3, 7, 5])],
      [`${P}c.lora_B.weight`, floats([4, 2, 1, 1])],
      [`${P}c.lora_magnitude_vector`, floats([1, 4, 1, 1])],
    ] as const;
    expect(roles(convolution, { use_dora: true })).toEqual(["magnitude c"]);
  });

  it("the magnitude of PEFT 0.11, with a suffix, is the same", () => {
    const adapter = read([...pair("q"), [`${P}q.lora_magnitude_vector.weight`, floats([5])]], {
      use_dora: true,
    });
    expect(adapter.tensors).toMatchObject([{ role: "magnitude", name: "q" }]);
    expect(adapter.origin!.keys).toEqual([
      [`${P}q.lora_magnitude_vector`, `${P}q.lora_magnitude_vector.weight`],
    ]);
  });

  it("LoRA biases", () => {
    expect(roles([...pair("q"), [`${P}q.lora_B.bias`, floats([5])]], { lora_bias: true })).toEqual([
      "lora-bias q",
    ]);
  });

  it("token rows with the indices of the configuration", () => {
    const tensors = [
      ...pair("q"),
      [`${P}model.emb.token_adapter.trainable_tokens_delta`, floats([3, 4])] as const,
    ];
    for (const indices of [[7, 2, 300], { emb: [7, 2, 300] }, { emb: [7, 2, 300], lm_head: [7, 2, 300] }]) {
      const adapter = read(tensors, { trainable_token_indices: indices });
      expect(adapter.tensors).toMatchObject([
        { role: "token-rows", name: "model.emb", shape: [3, 4] },
        { role: "token-indices", name: "model.emb", shape: [3], element: "U32" },
      ]);
      // Indices ascend in LQA, and rows follow them.
      expect([...adapter.tensors[1]!.data]).toEqual([2, 0, 0, 0, 7, 0, 0, 0, 44, 1, 0, 0]);
      const given = tensors.at(-1)![1].data;
      expect([...adapter.tensors[0]!.data]).toEqual([
        ...given.subarray(16, 32),
        ...given.subarray(0, 16),
        ...given.subarray(32),
      ]);
    }
  });

  it("training state of VeLoRA and MonteCLoRA is carried", () => {
    const velora = [...pair("q"), [`${P}q.lora_velora_embed`, floats([3])] as const];
    expect(roles(velora, { velora_config: { num_groups: 2 } })).toEqual(["carried q.lora_velora_embed"]);
    const monteclora = [...pair("q"), [`${P}q.lora_monteclora_sampler.std_prior`, floats([2])] as const];
    expect(roles(monteclora, { monteclora_config: {} })).toEqual([
      "carried q.lora_monteclora_sampler.std_prior",
    ]);
  });
});

describe("whole tensors", () => {
  it("of modules_to_save replace the base's, buffers of any type included", () => {
    const tensors = [
      ...pair("q"),
      [`${P}classifier.dense.weight`, floats([3, 4])] as const,
      [`${P}classifier.steps`, zeros([2], "I64", 8)] as const,
      [`${P}score.weight`, floats([2, 2])] as const,
    ];
    expect(roles(tensors, { modules_to_save: ["classifier", "score"] }).sort()).toEqual([
      "replace classifier.dense.weight",
      "replace classifier.steps",
      "replace score.weight",
    ]);
  });

  it.each(["all", "lora_only"])("biases with bias %s", (bias) => {
    const tensors = [
      ...pair("q"),
      [`${P}q.base_layer.bias`, floats([5])] as const,
      [`${P}norm.bias`, floats([6])] as const,
    ];
    expect(roles(tensors, { bias }).sort()).toEqual(["bias norm.bias", "bias q.bias"]);
  });

  it("attention masks that PEFT 0.5 took for biases replace the base's", () => {
    const mask = [...pair("q"), [`${P}attn.bias`, zeros([1, 1, 4, 4], "BOOL", 1)] as const];
    expect(roles([...mask, [`${P}attn.masked_bias`, floats([])]], { bias: "all" }).sort()).toEqual([
      "replace attn.bias",
      "replace attn.masked_bias",
    ]);
  });

  it("embeddings that PEFT saves of itself replace the base's", () => {
    const tensors = [
      ...pair("q"),
      [`${P}model.embed_tokens.base_layer.weight`, floats([9, 4])] as const,
      [`${P}lm_head.weight`, floats([9, 4])] as const,
    ];
    expect(roles(tensors).sort()).toEqual(["replace lm_head.weight", "replace model.embed_tokens.weight"]);
  });

  it("stored twice with equal bytes count once; the other, and the base's own, are carried", () => {
    const tensors = [
      ...pair("q"),
      [`${P}head.dense.bias`, floats([3], 7)] as const,
      [`${P}head.modules_to_save.dense.bias`, floats([3], 7)] as const,
      [`${P}head.original_module.dense.bias`, floats([3], 8)] as const,
    ];
    const config = { bias: "all", modules_to_save: ["head"] };
    expect(roles(tensors, config).sort()).toEqual([
      "carried head.modules_to_save.dense.bias",
      "carried head.original_module.dense.bias",
      "replace head.dense.bias",
    ]);
    tensors[3] = [tensors[3]![0], floats([3], 9)];
    expect(() => roles(tensors, config)).toThrow(/SOURCE_UNKNOWN_TENSOR.*one value for "head.dense.bias"/);
  });

  it("under the wrapper's name alone replace the base's", () => {
    const tensors = [...pair("q"), [`${P}head.modules_to_save.default.dense.bias`, floats([3])] as const];
    expect(roles(tensors, { modules_to_save: ["head"] })).toEqual(["replace head.dense.bias"]);
  });
});

describe("refusals", () => {
  const A = (shape: number[]) => [`${P}q.lora_A.weight`, floats(shape)] as const;
  const B = (shape: number[]) => [`${P}q.lora_B.weight`, floats(shape)] as const;
  const cases: [string, (readonly [string, SafeTensor])[], object, RegExp][] = [
    ["A without B", [A([2, 6])], {}, /SOURCE_UNPAIRED_FACTOR.*"q"/],
    ["B without A", [B([5, 2])], {}, /SOURCE_UNPAIRED_FACTOR/],
    [
      "two kinds of factor",
      [A([2, 6]), [`${P}q.lora_embedding_B`, floats([5, 2])]],
      {},
      /SOURCE_UNPAIRED_FACTOR/,
    ],
    [
      "a magnitude alone",
      [[`${P}q.lora_magnitude_vector`, floats([5])]],
      { use_dora: true },
      /SOURCE_UNPAIRED_FACTOR/,
    ],
    ["no modules at all", [[`${P}lm_head.weight`, floats([5, 2])]], {}, /SOURCE_UNPAIRED_FACTOR/],
    ["ranks that differ", [A([2, 6]), B([5, 3])], {}, /SOURCE_SHAPE/],
    ["factors transposed", [A([6, 2]), B([2, 5])], {}, /SOURCE_SHAPE/],
    ["a factor of one axis", [A([2]), B([2])], {}, /SOURCE_SHAPE/],
    ["an empty factor", [A([2, 0]), B([5, 2])], {}, /SOURCE_SHAPE/],
    ["rank 0", [A([0, 6]), B([5, 0])], {}, /SOURCE_SHAPE/],
    ["axes that differ", [A([2, 6, 1]), B([5, 2])], {}, /SOURCE_SHAPE/],
    ["six axes", [A([2, 6, 1, 1, 1, 1]), B([5, 2, 1, 1, 1, 1])], {}, /SOURCE_SHAPE/],
    ["a kernel in B", [A([2, 6, 3, 3]), B([5, 2, 3, 3])], {}, /SOURCE_SHAPE/],
    ["a grouped convolution", [A([2, 6, 3, 3]), B([5, 1, 1, 1])], {}, /UNSUPPORTED_ADAPTER_FEATURE.*grouped/],
    [
      "integer factors",
      [A([2, 6]), [`${P}q.lora_B.weight`, zeros([5, 2], "I8", 1)]],
      {},
      /SOURCE_ELEMENT_TYPE.*lora_B/,
    ],
    ["F64 factors", [A([2, 6]), [`${P}q.lora_B.weight`, zeros([5, 2], "F64", 8)]], {}, /SOURCE_ELEMENT_TYPE/],
    ["a magnitude missing", pair("q"), { use_dora: true }, /SOURCE_UNPAIRED_FACTOR.*use_dora/],
    [
      "a magnitude unannounced",
      [...pair("q"), [`${P}q.lora_magnitude_vector`, floats([5])]],
      {},
      /SOURCE_CONFIG/,
    ],
    [
      "a magnitude of the wrong axis",
      [...pair("q"), [`${P}q.lora_magnitude_vector`, floats([6])]],
      { use_dora: true },
      /SOURCE_SHAPE/,
    ],
    [
      "an integer magnitude",
      [...pair("q"), [`${P}q.lora_magnitude_vector`, zeros([5], "I32", 4)]],
      { use_dora: true },
      /SOURCE_ELEMENT_TYPE/,
    ],
    ["a LoRA bias missing", pair("q"), { lora_bias: true }, /SOURCE_UNPAIRED_FACTOR.*lora_bias/],
    ["a LoRA bias unannounced", [...pair("q"), [`${P}q.lora_B.bias`, floats([5])]], {}, /SOURCE_CONFIG/],
    [
      "token rows unannounced",
      [...pair("q"), [`${P}e.token_adapter.trainable_tokens_delta`, floats([1, 4])]],
      {},
      /SOURCE_CONFIG/,
    ],
    ["token rows missing", pair("q"), { trainable_token_indices: [1] }, /SOURCE_UNPAIRED_FACTOR/],
    [
      "token rows of one table missing",
      [...pair("q"), [`${P}e.token_adapter.trainable_tokens_delta`, floats([1, 4])]],
      { trainable_token_indices: { e: [1], f: [2] } },
      /SOURCE_UNPAIRED_FACTOR/,
    ],
    [
      "more token rows than indices",
      [...pair("q"), [`${P}e.token_adapter.trainable_tokens_delta`, floats([2, 4])]],
      { trainable_token_indices: [1] },
      /SOURCE_SHAPE/,
    ],
    [
      "one list for two embeddings",
      [
        ...pair("q"),
        [`${P}e.token_adapter.trainable_tokens_delta`, floats([1, 4])],
        [`${P}f.token_adapter.trainable_tokens_delta`, floats([1, 4])],
      ],
      { trainable_token_indices: [1] },
      /SOURCE_CONFIG/,
    ],
    [
      "an unknown tensor",
      [...pair("q"), [`${P}norm.weight`, floats([6])]],
      {},
      /SOURCE_UNKNOWN_TENSOR.*norm/,
    ],
    ["a bias unannounced", [...pair("q"), [`${P}norm.bias`, floats([6])]], {}, /SOURCE_UNKNOWN_TENSOR/],
    [
      "an unknown LoRA tensor",
      [...pair("q"), [`${P}q.lora_C.weight`, floats([6])]],
      {},
      /SOURCE_UNKNOWN_TENSOR/,
    ],
    ["KaSA's diagonal", [...pair("q"), [`${P}q.lora_diag`, floats([2])]], {}, /SOURCE_UNKNOWN_TENSOR/],
    [
      "VeLoRA's state unannounced",
      [...pair("q"), [`${P}q.lora_velora_embed`, floats([2])]],
      {},
      /SOURCE_UNKNOWN_TENSOR/,
    ],
    [
      "a key without the prefix among others",
      [...pair("q"), ["lm_head.weight", floats([6])]],
      {},
      /SOURCE_UNKNOWN_TENSOR/,
    ],
    ["a module without a name", [[`${P}lora_A.weight`, floats([2, 6])]], {}, /SOURCE_UNKNOWN_TENSOR/],
    ["LoRA in LoRA", [...pair("q"), ...pair("q.base_layer")], {}, /UNSUPPORTED_ADAPTER_FEATURE.*nested/],
    [
      "two tensors for one place",
      [...pair("m.out_proj"), ...pair("m.base_layer.out_proj")],
      {},
      /SOURCE_UNKNOWN_TENSOR/,
    ],
    [
      "two adapters",
      [
        [`${P}q.lora_A.x.weight`, floats([2, 6])],
        [`${P}q.lora_B.y.weight`, floats([5, 2])],
      ],
      {},
      /SOURCE_UNKNOWN_TENSOR.*one adapter/,
    ],
  ];
  it.each(cases)("%s", (_name, tensors, config, message) => {
    expect(() => read(tensors, config)).toThrow(message);
  });
});

describe("a damaged directory", () => {
  const files = directory(
    [...pair("q"), [`${P}e.token_adapter.trainable_tokens_delta`, floats([2, 4])] as const],
    { rank_pattern: { "^q": 2 }, alpha_pattern: { "[pq]": 3 }, trainable_token_indices: { e: [1, 2] } },
  );
  it("is read or refused with one of the library's errors, whatever bytes were changed", () => {
    const change = fc.tuple(fc.boolean(), fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const damaged = new Map([...files].map(([name, bytes]) => [name, bytes.slice()]));
        for (const [config, at, value] of changes) {
          const bytes = damaged.get(config ? "adapter_config.json" : "adapter_model.safetensors")!;
          bytes[at % bytes.length] = value;
        }
        try {
          readAdapter(damaged);
        } catch (error) {
          if (!isLqaError(error)) throw error;
        }
      }),
      { numRuns: 3000 },
    );
  });
});
