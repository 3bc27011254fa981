/** Every field of adapter_config.json: resolved, kept as provenance, or refused by name. */
import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { bytesOf, directory, floats, pair } from "./build.ts";

const read = (config: object | string, name = "layers.0.q_proj", rank = 2) =>
  readAdapter(directory(pair(name, { rank }), config));
const first = (config: object | string, name?: string, rank?: number) => read(config, name, rank).modules[0]!;

describe("the multiplier", () => {
  it.each([
    ["alpha / r", { r: 3, lora_alpha: 16 }, 3, Math.fround(16 / 3), "alpha/r", 16],
    [
      "alpha / sqrt(r)",
      { r: 3, lora_alpha: 16, use_rslora: true },
      3,
      Math.fround(16 / Math.sqrt(3)),
      "alpha/sqrt(r)",
      16,
    ],
    ["the default alpha of 8", '{"peft_type":"LORA","r":2}', 2, 4, "alpha/r", 8],
    ["an alpha of 0", { lora_alpha: 0 }, 2, 0, "alpha/r", 0],
    ["a negative alpha", { lora_alpha: -3 }, 2, -1.5, "alpha/r", -3],
    ["alpha by pattern", { alpha_pattern: { q_proj: 5 } }, 2, 2.5, "alpha/r", 5],
    ["rank by pattern", { r: 64, rank_pattern: { q_proj: 5 } }, 5, Math.fround(8 / 5), "alpha/r", 8],
    ["null patterns", { rank_pattern: null, alpha_pattern: null }, 2, 4, "alpha/r", 8],
    // f32(alpha) / 7 rounds to a neighbour of alpha / 7: the rule cannot be checked from an f32 alpha.
    [
      "an alpha between f32 values",
      { r: 7, lora_alpha: 0.7000000000000001 },
      7,
      Math.fround(0.7000000000000001 / 7),
      undefined,
      Math.fround(0.7),
    ],
  ])("%s", (_name, config, rank, multiplier, rule, alpha) => {
    const module = first(config, undefined, rank);
    expect(module).toMatchObject({ multiplier, alpha, rank });
    if (rule !== undefined) expect(module.rule).toBe(rule);
  });

  it("is explicit exactly where the f32 alpha would give another one", () => {
    const seen = new Set<string>();
    for (let step = 1; step < 400; step++) {
      const exact = step / 1000 + 1e-9;
      const module = first({ r: 3, lora_alpha: exact }, undefined, 3);
      expect(module.multiplier).toBe(Math.fround(exact / 3));
      const follows = Math.fround(module.alpha / 3) === module.multiplier;
      expect(module.rule).toBe(follows ? "alpha/r" : "explicit");
      seen.add(module.rule);
    }
    expect([...seen].sort()).toEqual(["alpha/r", "explicit"]);
  });

  it("follows the order of the patterns in the text, integer-like keys included", () => {
    const text = (patterns: string): string => `{"peft_type":"LORA","r":2,"alpha_pattern":{${patterns}}}`;
    expect(first(text('"q_proj":2,"0.q_proj":4')).multiplier).toBe(1);
    expect(first(text('"0.q_proj":4,"q_proj":2')).multiplier).toBe(2);
    // A JavaScript object would put 0 first.
    expect(first(text('"layers.0":2,"0":4'), "layers.0").multiplier).toBe(1);
  });

  it("refuses a rank that the tensors contradict, and one beyond binary32", () => {
    expect(() => first({ r: 3 })).toThrow(/SOURCE_SHAPE.*rank 3/);
    expect(() => first({ r: 2, rank_pattern: { q_proj: 1 } })).toThrow(/SOURCE_SHAPE/);
    expect(() => first({ lora_alpha: 1e39 })).toThrow(/SOURCE_CONFIG/);
    expect(() => first({ lora_alpha: null })).toThrow(/SOURCE_CONFIG.*lora_alpha/);
  });
});

describe("fields", () => {
  it.each([
    ["target_modules", ["q_proj"]],
    ["target_modules", "all-linear"],
    ["exclude_modules", ["x"]],
    ["layers_to_transform", [0]],
    ["layers_pattern", "layers"],
    ["lora_dropout", 0.1],
    ["inference_mode", true],
    ["task_type", "CAUSAL_LM"],
    ["auto_mapping", { base_model_class: "X" }],
    ["megatron_core", "megatron.core"],
    ["qalora_group_size", 16],
    ["eva_config", { rho: 2 }],
    ["corda_config", { verbose: true }],
    ["lora_ga_config", { direction: "ArB2r" }],
    ["loftq_config", { loftq_bits: 4 }],
    ["velora_config", { num_groups: 4 }],
    ["monteclora_config", { num_samples: 8 }],
    ["ensure_weight_tying", true],
    ["runtime_config", { ephemeral_gpu_offload: true }],
    ["init_lora_weights", "gaussian"],
    ["init_lora_weights", "eva"],
    ["init_lora_weights", "orthogonal"],
    ["init_lora_weights", "mica"],
    ["init_lora_weights", false],
    ["a_field_of_the_future", null],
    ["a_field_of_the_future", false],
    ["a_field_of_the_future", {}],
    ["a_field_of_the_future", []],
    ["alora_invocation_tokens", null],
    ["target_parameters", []],
    ["use_qalora", false],
  ])("%s: %j changes nothing and is kept", (field, value) => {
    const adapter = read({ [field]: value });
    expect(adapter.modules[0]!.multiplier).toBe(4);
    expect(new TextDecoder().decode(adapter.origin!.config as Uint8Array)).toContain(`"${field}"`);
  });

  it.each([
    ["model_name", "llama"],
    ["lora_plus_lr_ratio", 16],
  ])("%s: %j of another program is kept, with a note", (field, value) => {
    const notes: string[] = [];
    const files = directory(pair("layers.0.q_proj", { rank: 2 }), { [field]: value });
    const adapter = readAdapter(files, { onNote: (note) => notes.push(note) });
    expect(adapter.modules[0]!.multiplier).toBe(4);
    expect(new TextDecoder().decode(adapter.origin!.config as Uint8Array)).toContain(`"${field}"`);
    expect(notes).toEqual([expect.stringMatching(`does not know: "${field}"`)]);
    // A file may come from anyone: a later PEFT may act on the field.
    const written = (keepConfig: boolean) =>
      writeAdapter(adapter, { factors: "source", keepConfig }).get("adapter_config.json");
    expect(new TextDecoder().decode(written(false))).not.toContain(field);
    expect(new TextDecoder().decode(written(true))).toContain(field);
  });

  it.each([
    ["alora_invocation_tokens", [1, 2]],
    ["use_qalora", true],
    ["layer_replication", [[0, 4]]],
    ["use_bdlora", { nblocks: 2 }],
    ["kasa_config", { beta: 0.1 }],
    ["arrow_config", { top_k: 3 }],
    ["megatron_config", { hidden_size: 1 }],
    ["enable_lora", [true, false, true]],
    ["a_field_of_the_future", true],
    ["a_field_of_the_future", [1]],
    ["a_field_of_the_future", { share: 0.5 }],
    ["init_lora_weights", "pissa"],
    ["init_lora_weights", "pissa_niter_16"],
    ["init_lora_weights", "olora"],
    ["init_lora_weights", "OLoRA"],
    ["init_lora_weights", "corda"],
    ["init_lora_weights", "loftq"],
    ["init_lora_weights", "lora_ga"],
    ["init_lora_weights", "a_method_of_the_future"],
    ["peft_type", "ADALORA"],
    ["peft_type", "IA3"],
  ])("%s: %j is refused by name", (field, value) => {
    expect(() => read({ [field]: value })).toThrow(new RegExp(`UNSUPPORTED_ADAPTER_FEATURE.*${field}`));
  });

  it.each([
    ["init_lora_weights", "pissa", /^Convert it to plain LoRA with PEFT \(/],
    ["init_lora_weights", "olora", /^Convert it to plain LoRA with PEFT \(/],
    ["init_lora_weights", "pissa_niter_16", /factors from before the training/],
    ["init_lora_weights", "corda", /factors from before the training/],
    ["init_lora_weights", "loftq", /^Save the base model as PEFT changes it/],
    ["layer_replication", [[0, 4]], /^Save the base model as PEFT changes it/],
  ])("%s: %j: says what to do, and the page that does it", (field, value, advice) => {
    const page = expect.stringMatching(/docs\/guide\/migrating\.md#adapters-that-change-their-base\)\.$/);
    expect(() => read({ [field]: value })).toThrow(expect.objectContaining({ advice: page }));
    expect(() => read({ [field]: value })).toThrow(
      expect.objectContaining({ advice: expect.stringMatching(advice) }),
    );
  });

  it.each([
    ["r", 0],
    ["r", -1],
    ["r", 1.5],
    ["r", "8"],
    ["lora_alpha", "16"],
    ["lora_alpha", true],
    ["use_rslora", 1],
    ["use_dora", "true"],
    ["fan_in_fan_out", 0.5],
    ["bias", "some"],
    ["modules_to_save", "classifier"],
    ["modules_to_save", [1]],
    ["rank_pattern", { q: "8" }],
    ["rank_pattern", { q: 0 }],
    ["alpha_pattern", [1]],
    ["trainable_token_indices", [1.5]],
    ["trainable_token_indices", [-1]],
    ["trainable_token_indices", [2 ** 32]],
    ["trainable_token_indices", [1, 2, 1]],
    ["trainable_token_indices", { a: 1 }],
    ["base_model_name_or_path", 3],
    ["peft_type", null],
    ["peft_type", 7],
  ])("%s: %j is not a value it can have", (field, value) => {
    expect(() => read({ [field]: value })).toThrow(new RegExp(`SOURCE_CONFIG.*${field}`));
  });

  it.each([
    ["broken JSON", '{"peft_type":"LORA",'],
    ["a repeated field", '{"peft_type":"LORA","r":2,"r":4}'],
    ["a list", '["peft_type"]'],
    ["a bare string", '"peft_type"'],
    ["no peft_type", '{"r":2}'],
  ])("%s is no configuration", (_name, text) => {
    expect(() => read(text)).toThrow(/SOURCE_CONFIG/);
  });

  it("takes provenance into the metadata", () => {
    const config = { base_model_name_or_path: "org/base", revision: "main", peft_version: "0.19.1" };
    expect(read(config).meta).toEqual({
      base_model: "org/base",
      base_revision: "main",
      source: "peft 0.19.1",
    });
    expect(read({ base_model_name_or_path: null }).meta).toEqual({ source: "peft" });
  });

  it("settles which axis of the base weight is which", () => {
    expect(first({}).baseLayout).toBe("out-in");
    expect(first({ fan_in_fan_out: true }).baseLayout).toBe("in-out");
    const embedding = [
      ["base_model.model.emb.lora_embedding_A", floats([2, 9])],
      ["base_model.model.emb.lora_embedding_B", floats([4, 2])],
    ] as const;
    const [module] = readAdapter(directory(embedding)).modules;
    expect(module).toMatchObject({ role: "embedding", in: 9, out: 4, kernel: [], baseLayout: "in-out" });
    const convolution = [
      ["base_model.model.conv.lora_A.weight", floats([2, 3, 5, 1])],
      ["base_model.model.conv.lora_B.weight", floats([4, 2, 1, 1])],
    ] as const;
    const [conv] = readAdapter(directory(convolution, { fan_in_fan_out: true })).modules;
    expect(conv).toMatchObject({
      role: "conv2d",
      in: 3,
      out: 4,
      kernel: [5, 1],
      baseLayout: "out-in",
    });
  });

  it("reads a configuration in UTF-8 with any white space", () => {
    const files = directory(pair("a"));
    files.set("adapter_config.json", bytesOf('\n {\t"peft_type" : "LORA",\r\n"r":2 , "task_type":"é"}\n'));
    expect(readAdapter(files).modules[0]!.multiplier).toBe(4);
  });
});
