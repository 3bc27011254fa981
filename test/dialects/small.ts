/**
 * Small adapters of every dialect in its variants, made in memory, with what each one means: the multiplier and ΔW of every
 * module, computed here from the tensors alone.
 *
 * @module
 */

import { zipSync } from "fflate";
import { Builder } from "flatbuffers";
import type { DialectName, ReadOptions, SourceFiles } from "../../src/adapters/index.ts";
import type { MultiplierRule, TensorRole } from "../../src/core/index.ts";
import { gguf, type TypedValue } from "../helpers/gguf.ts";
import { fromFloat32, type SafeTensor, toFloat32, writeSafetensors } from "../helpers/safetensors.ts";
import { bytesOf, floats } from "./build.ts";
import { torchFile } from "./pickles.ts";

/** What a module of a small adapter must be. `delta`: ΔW as (experts, out, in · kernel), whatever the base's layout. */
export interface ExpectedModule {
  readonly multiplier: number;
  readonly rule: MultiplierRule;
  readonly delta: Float64Array;
}

/** A small adapter. */
export interface SmallAdapter {
  readonly dialect: DialectName;
  readonly variant: string;
  readonly files: SourceFiles;
  readonly read: ReadOptions;
  readonly modules: ReadonlyMap<string, ExpectedModule>;
  readonly roles: Partial<Record<TensorRole, number>>;
  /** False: the file cannot be had back as it was (another container, blocks), but ΔW can. */
  readonly same: boolean;
  /** What reading tells. */
  readonly note?: RegExp;
}

type Element = "F32" | "F16" | "BF16";
interface Sizes {
  readonly out?: number;
  readonly inputs?: number;
  readonly rank?: number;
  readonly kernel?: readonly number[];
  readonly element?: Element;
  readonly experts?: number;
  readonly seed?: number;
}

/** One module: its tensors, under what keys, and ΔW without the multiplier. */
interface Made {
  readonly tensors: [string, SafeTensor][];
  readonly product: Float64Array;
}

/** Keys of a module's factors by its own convention. */
type Keys = readonly [a: string, b: string];

/** Factors `[r, in, k…]` and `[out, r, 1…]`. */
function rows([keyA, keyB]: Keys, sizes: Sizes = {}): Made {
  const { out = 6, inputs = 5, rank = 2, kernel = [], element = "F32", seed = 1 } = sizes;
  const a = floats([rank, inputs, ...kernel], seed, element);
  const b = floats([out, rank, ...kernel.map(() => 1)], seed + 50, element);
  const [av, bv] = [toFloat32(a), toFloat32(b)];
  const length = kernel.reduce((x, y) => x * y, inputs);
  const product = new Float64Array(out * length);
  for (let o = 0; o < out; o++) {
    for (let r = 0; r < rank; r++) {
      for (let i = 0; i < length; i++) product[o * length + i]! += bv[o * rank + r]! * av[r * length + i]!;
    }
  }
  return {
    tensors: [
      [keyA, a],
      [keyB, b],
    ],
    product,
  };
}

/** A file of factors of rank 1 in E4M3: A is 1, −2, ½, 2⁻⁹, B is 448, −1.125. */
function eightBits([keyA, keyB]: Keys): Made & { readonly file: Uint8Array } {
  const file = writeSafetensors(
    new Map([
      [keyA, { element: "F8_E4M3", shape: [1, 4], data: Uint8Array.of(0x38, 0xc0, 0x30, 0x01) }],
      [keyB, { element: "F8_E4M3", shape: [2, 1], data: Uint8Array.of(0x7e, 0xb9) }],
    ]),
  );
  const product = Float64Array.from([448, -1.125].flatMap((b) => [1, -2, 0.5, 2 ** -9].map((a) => b * a)));
  return { tensors: [], product, file };
}

/** Factors `[in, r]` and `[r, out]`; of experts `[E, r, in]` and `[E, out, r]`. */
function columns([keyA, keyB]: Keys, sizes: Sizes = {}): Made {
  const { out = 6, inputs = 5, rank = 2, element = "F32", experts, seed = 1 } = sizes;
  const shapeA = experts === undefined ? [inputs, rank] : [experts, rank, inputs];
  const a = floats(shapeA, seed, element);
  const b = floats(experts === undefined ? [rank, out] : [experts, out, rank], seed + 50, element);
  const [av, bv] = [toFloat32(a), toFloat32(b)];
  const product = new Float64Array((experts ?? 1) * out * inputs);
  for (let e = 0, at = 0; e < (experts ?? 1); e++) {
    for (let o = 0; o < out; o++) {
      for (let i = 0; i < inputs; i++, at++) {
        for (let r = 0; r < rank; r++) {
          const x = experts === undefined ? av[i * rank + r]! : av[(e * rank + r) * inputs + i]!;
          const y = experts === undefined ? bv[r * out + o]! : bv[(e * out + o) * rank + r]!;
          product[at]! += y * x;
        }
      }
    }
  }
  return {
    tensors: [
      [keyA, a],
      [keyB, b],
    ],
    product,
  };
}

function scaled(made: Made, multiplier: number, rule: MultiplierRule = "alpha/r"): ExpectedModule {
  return { multiplier, rule, delta: made.product.map((value) => multiplier * value) };
}

function number(value: number, element: Element = "F32", shape: number[] = []): SafeTensor {
  return { element, shape, data: fromFloat32(Float32Array.of(value), element) };
}

const safetensors = (
  tensors: readonly [string, SafeTensor][],
  metadata: Record<string, string> | undefined = { format: "pt" },
): Uint8Array =>
  writeSafetensors(new Map(tensors), {
    metadata: metadata === undefined ? undefined : new Map(Object.entries(metadata)),
  });
const json = (value: object): Uint8Array => bytesOf(JSON.stringify(value, null, 2));

const all: SmallAdapter[] = [];
function add(
  dialect: DialectName,
  variant: string,
  files: Record<string, Uint8Array>,
  modules: Record<string, ExpectedModule>,
  rest: Partial<Pick<SmallAdapter, "read" | "roles" | "same" | "note">> = {},
): void {
  all.push({
    dialect,
    variant,
    files: new Map(Object.entries(files)),
    modules: new Map(Object.entries(modules)),
    read: {},
    roles: {},
    same: true,
    ...rest,
  });
}

/* PEFT */

const PEFT = "base_model.model.";
const peftKeys = (path: string): Keys => [`${PEFT}${path}.lora_A.weight`, `${PEFT}${path}.lora_B.weight`];
const Q = "model.layers.0.self_attn.q_proj";
const V = "model.layers.0.self_attn.v_proj";
const peftFiles = (tensors: [string, SafeTensor][], config: object): Record<string, Uint8Array> => ({
  "adapter_config.json": json({ peft_type: "LORA", r: 2, lora_alpha: 8, ...config }),
  "adapter_model.safetensors": safetensors(tensors),
});

{
  const [q, v] = [rows(peftKeys(Q)), rows(peftKeys(V), { out: 3, seed: 2 })];
  const both = [...q.tensors, ...v.tensors];
  add("peft", "usual", peftFiles(both, {}), { [Q]: scaled(q, 4), [V]: scaled(v, 4) });
  const wide = rows(peftKeys(V), { out: 3, seed: 3, rank: 4 });
  add(
    "peft",
    "rank_pattern, alpha_pattern, use_rslora",
    peftFiles([...q.tensors, ...wide.tensors], {
      use_rslora: true,
      rank_pattern: { v_proj: 4 },
      alpha_pattern: { v_proj: 6 },
    }),
    {
      [Q]: scaled(q, Math.fround(8 / Math.sqrt(2)), "alpha/sqrt(r)"),
      [V]: scaled(wide, 3, "alpha/sqrt(r)"),
    },
  );
  add(
    "peft",
    "use_dora, lora_bias",
    peftFiles(
      [
        ...q.tensors,
        [`${PEFT}${Q}.lora_magnitude_vector`, floats([6], 9)],
        [`${PEFT}${Q}.lora_B.bias`, floats([6], 10)],
      ],
      { use_dora: true, lora_bias: true },
    ),
    { [Q]: scaled(q, 4) },
    { roles: { magnitude: 1, "lora-bias": 1 } },
  );
  const embedding = rows(
    [`${PEFT}model.embed_tokens.lora_embedding_A`, `${PEFT}model.embed_tokens.lora_embedding_B`],
    {
      out: 4,
      inputs: 9,
    },
  );
  add(
    "peft",
    "embedding, modules_to_save, bias",
    peftFiles(
      [
        ...embedding.tensors,
        ...q.tensors,
        [`${PEFT}head.weight`, floats([3, 4], 5)],
        [`${PEFT}${Q}.base_layer.bias`, floats([6])],
      ],
      { modules_to_save: ["head"], bias: "all" },
    ),
    { "model.embed_tokens": scaled(embedding, 4), [Q]: scaled(q, 4) },
    { roles: { replace: 1, bias: 1 } },
  );
  // As PEFT 0.4 to 0.6 wrote heads: by the task type alone.
  add(
    "peft",
    "SEQ_CLS, modules_to_save null",
    peftFiles([...q.tensors, [`${PEFT}score.weight`, floats([3, 4], 5)]], {
      task_type: "SEQ_CLS",
      modules_to_save: null,
    }),
    { [Q]: scaled(q, 4) },
    { roles: { replace: 1 } },
  );
  add(
    "peft",
    "trainable_token_indices",
    peftFiles(
      [...q.tensors, [`${PEFT}model.embed_tokens.token_adapter.trainable_tokens_delta`, floats([2, 4], 6)]],
      {
        trainable_token_indices: { embed_tokens: [1, 7] },
      },
    ),
    { [Q]: scaled(q, 4) },
    { roles: { "token-rows": 1, "token-indices": 1 } },
  );
  const gpt = rows(peftKeys("transformer.h.0.attn.c_attn"), { out: 9 });
  add("peft", "fan_in_fan_out", peftFiles(gpt.tensors, { fan_in_fan_out: true }), {
    "transformer.h.0.attn.c_attn": scaled(gpt, 4),
  });
  const conv = rows(peftKeys("conv"), { kernel: [3, 3] });
  add("peft", "convolution", peftFiles(conv.tensors, {}), { conv: scaled(conv, 4) });
  const unet = rows(peftKeys("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"), {
    element: "F16",
  });
  add("peft", "of a UNet, F16", peftFiles(unet.tensors, {}), {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": scaled(unet, 4),
  });
  add(
    "peft",
    "adapter_model.bin",
    {
      "adapter_config.json": json({ peft_type: "LORA", r: 2, lora_alpha: 8 }),
      "adapter_model.bin": torchFile(both),
    },
    { [Q]: scaled(q, 4), [V]: scaled(v, 4) },
    { same: false },
  );
  const eight = eightBits(peftKeys(Q));
  add(
    "peft",
    "F8_E4M3",
    {
      "adapter_config.json": json({ peft_type: "LORA", r: 1, lora_alpha: 4 }),
      "adapter_model.safetensors": eight.file,
    },
    { [Q]: scaled(eight, 4) },
    { same: false },
  );
  // Two experts; A is expert by expert, B has the expert running fastest.
  for (const [version, layout] of [
    ["0.18.1", undefined],
    ["0.21.0", "out-in"],
  ] as const) {
    const a = floats([4, 5], 21);
    const b = floats([6, 4], 22);
    const product = new Float64Array(2 * 6 * 5);
    const [av, bv] = [toFloat32(a), toFloat32(b)];
    for (let e = 0; e < 2; e++) {
      for (let o = 0; o < 6; o++) {
        for (let r = 0; r < 2; r++) {
          for (let i = 0; i < 5; i++) {
            product[(e * 6 + o) * 5 + i]! += bv[o * 4 + r * 2 + e]! * av[(e * 2 + r) * 5 + i]!;
          }
        }
      }
    }
    const made: Made = { tensors: [], product };
    const keys = peftKeys("model.layers.0.mlp.experts");
    add(
      "peft",
      `target_parameters, PEFT ${version}`,
      peftFiles(
        [
          [keys[0], a],
          [keys[1], b],
        ],
        { target_parameters: ["mlp.experts.down_proj"], peft_version: version },
      ),
      { "model.layers.0.mlp.experts.down_proj": scaled(made, 4) },
      { read: layout === undefined ? {} : { expertLayout: layout } },
    );
  }
}

/* kohya */

const kohyaKeys = (name: string): Keys => [`${name}.lora_down.weight`, `${name}.lora_up.weight`];
const ATTN = "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
const ATTN_PATH = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
const CLIP = "text_model_encoder_layers_0_self_attn_k_proj";
const CLIP_PATH = "text_model.encoder.layers.0.self_attn.k_proj";

{
  const unet = rows(kohyaKeys(`lora_unet_${ATTN}`), { rank: 4, element: "F16" });
  const text = rows(kohyaKeys(`lora_te_${CLIP}`), { rank: 4, element: "F16", seed: 2 });
  add(
    "kohya",
    "F16 with alphas, text encoder, ss_ metadata",
    {
      "my-style.safetensors": safetensors(
        [
          ...unet.tensors,
          [`lora_unet_${ATTN}.alpha`, number(2, "F16")],
          ...text.tensors,
          [`lora_te_${CLIP}.alpha`, number(1, "F16")],
        ],
        { ss_network_dim: "4", ss_network_alpha: "2", sshs_model_hash: "00ff" },
      ),
    },
    { [`unet.${ATTN_PATH}`]: scaled(unet, 0.5), [`text_encoder.${CLIP_PATH}`]: scaled(text, 0.25) },
  );
  const [one, two] = [1, 2].map((n) => rows(kohyaKeys(`lora_te${n}_${CLIP}`), { seed: n }));
  const sgm = rows(kohyaKeys("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k"), { seed: 3 });
  add(
    "kohya",
    "SDXL: two text encoders, Stability's names, alpha of shape [1], BF16 alpha beside F32",
    {
      "xl.safetensors": safetensors([
        ...one!.tensors,
        [`lora_te1_${CLIP}.alpha`, number(1, "F32", [1])],
        ...two!.tensors,
        [`lora_te2_${CLIP}.alpha`, number(1, "BF16")],
        ...sgm.tensors,
        ["lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k.alpha", number(4)],
      ]),
    },
    {
      [`text_encoder.${CLIP_PATH}`]: scaled(one!, 0.5),
      [`text_encoder_2.${CLIP_PATH}`]: scaled(two!, 0.5),
      "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k": scaled(sgm, 2),
    },
  );
  const conv = rows(kohyaKeys("lora_unet_down_blocks_0_resnets_0_conv1"), { kernel: [3, 3] });
  const point = rows(kohyaKeys("lora_unet_down_blocks_0_attentions_0_proj_in"), { kernel: [1, 1], seed: 4 });
  add(
    "kohya",
    "LoCon: convolutions of 3 × 3 and 1 × 1",
    {
      "locon.safetensors": safetensors([
        ...conv.tensors,
        ["lora_unet_down_blocks_0_resnets_0_conv1.alpha", number(1)],
        ...point.tensors,
        ["lora_unet_down_blocks_0_attentions_0_proj_in.alpha", number(1)],
      ]),
    },
    {
      "unet.down_blocks.0.resnets.0.conv1": scaled(conv, 0.5),
      "unet.down_blocks.0.attentions.0.proj_in": scaled(point, 0.5),
    },
  );
  add(
    "kohya",
    "without alpha",
    { "adapter.safetensors": safetensors(unet.tensors, undefined) },
    { [`unet.${ATTN_PATH}`]: scaled(unet, 1, "none") },
    { note: /^1 of 1 modules have no alpha, which counts as their rank: the multiplier is 1\.$/ },
  );
  add(
    "kohya",
    "alpha 0",
    { "zero.safetensors": safetensors([...unet.tensors, [`lora_unet_${ATTN}.alpha`, number(0, "F16")]]) },
    { [`unet.${ATTN_PATH}`]: scaled(unet, 1, "none") },
    { note: /alpha of 0, which counts as its rank/ },
  );
  add(
    "kohya",
    "an alpha that F16 rounds",
    { "odd.safetensors": safetensors([...unet.tensors, [`lora_unet_${ATTN}.alpha`, number(1.7, "F16")]]) },
    { [`unet.${ATTN_PATH}`]: scaled(unet, toFloat32(number(1.7, "F16"))[0]! / 4) },
  );
  for (const [what, shape] of [
    ["of outputs", [6, 1]],
    ["of inputs", [1, 5]],
  ] as const) {
    add(
      "kohya",
      `dora_scale ${what}`,
      {
        "dora.safetensors": safetensors([
          ...unet.tensors,
          [`lora_unet_${ATTN}.alpha`, number(4, "F16")],
          [`lora_unet_${ATTN}.dora_scale`, floats(shape, 8, "F16")],
        ]),
      },
      { [`unet.${ATTN_PATH}`]: scaled(unet, 1) },
      { roles: { magnitude: 1 } },
    );
  }
  const flux = rows(kohyaKeys("lora_unet_double_blocks_11_img_attn_qkv"));
  const strange = rows(kohyaKeys("lora_unet_some_unknown_thing_7"), { seed: 5 });
  add(
    "kohya",
    "names of other models",
    { "flux.safetensors": safetensors([...flux.tensors, ...strange.tensors]) },
    {
      "unet.double_blocks.11.img_attn.qkv": scaled(flux, 1, "none"),
      "unet.some_unknown_thing_7": scaled(strange, 1, "none"),
    },
    { note: /^2 of 2 modules have no alpha/ },
  );
}

/* diffusers */

const CROSS = "unet.up_blocks.1.attentions.2.transformer_blocks.0.attn2";
const FILE = "pytorch_lora_weights.safetensors";

{
  const q = rows([`${CROSS}.to_q.lora_A.weight`, `${CROSS}.to_q.lora_B.weight`]);
  const text = rows([`text_encoder.${CLIP_PATH}.lora_A.weight`, `text_encoder.${CLIP_PATH}.lora_B.weight`], {
    seed: 2,
  });
  add(
    "diffusers",
    "PEFT's keys, two components",
    { [FILE]: safetensors([...q.tensors, ...text.tensors]) },
    { [`${CROSS}.to_q`]: scaled(q, 1, "none"), [`text_encoder.${CLIP_PATH}`]: scaled(text, 1, "none") },
  );
  const metadata = JSON.stringify({
    "unet.r": 2,
    "unet.lora_alpha": 5,
    "unet.target_modules": ["to_q"],
    "unet.peft_type": "LORA",
  });
  add(
    "diffusers",
    "lora_adapter_metadata",
    { [FILE]: safetensors(q.tensors, { format: "pt", lora_adapter_metadata: metadata }) },
    { [`${CROSS}.to_q`]: scaled(q, 2.5) },
  );
  const alpha = rows([`${CROSS}.to_q.lora.down.weight`, `${CROSS}.to_q.lora.up.weight`], { rank: 4 });
  add(
    "diffusers",
    "lora.down with alpha",
    { [FILE]: safetensors([...alpha.tensors, [`${CROSS}.to_q.alpha`, number(2)]]) },
    { [`${CROSS}.to_q`]: scaled(alpha, 0.5) },
  );
  const bare = CROSS.slice("unet.".length);
  const old = (prefix: string, layer: string, seed: number): Made =>
    rows([`${prefix}.processor.${layer}_lora.down.weight`, `${prefix}.processor.${layer}_lora.up.weight`], {
      seed,
    });
  const [oldQ, oldOut] = [old(bare, "to_q", 3), old(bare, "to_out", 4)];
  add(
    "diffusers",
    "attention processors, no component",
    { [FILE]: safetensors([...oldQ.tensors, ...oldOut.tensors]) },
    { [`${CROSS}.to_q`]: scaled(oldQ, 1, "none"), [`${CROSS}.to_out.0`]: scaled(oldOut, 1, "none") },
  );
  const [newQ, newOut] = [old(CROSS, "to_q", 3), old(CROSS, "to_out", 4)];
  const attn = "text_encoder.text_model.encoder.layers.0.self_attn";
  const clip = rows([`${attn}.to_out_lora.down.weight`, `${attn}.to_out_lora.up.weight`], { seed: 6 });
  add(
    "diffusers",
    "attention processors of two components",
    { [FILE]: safetensors([...newQ.tensors, ...newOut.tensors, ...clip.tensors]) },
    {
      [`${CROSS}.to_q`]: scaled(newQ, 1, "none"),
      [`${CROSS}.to_out.0`]: scaled(newOut, 1, "none"),
      [`${attn}.out_proj`]: scaled(clip, 1, "none"),
    },
  );
  const linear = rows([
    `${attn}.q_proj.lora_linear_layer.down.weight`,
    `${attn}.q_proj.lora_linear_layer.up.weight`,
  ]);
  add(
    "diffusers",
    "lora_linear_layer",
    { [FILE]: safetensors(linear.tensors) },
    { [`${attn}.q_proj`]: scaled(linear, 1, "none") },
  );
  const twice = rows([`unet.${CROSS}.to_q.lora.down.weight`, `unet.${CROSS}.to_q.lora.up.weight`]);
  add(
    "diffusers",
    "doubled unet",
    { [FILE]: safetensors(twice.tensors) },
    { [`${CROSS}.to_q`]: scaled(twice, 1, "none") },
  );
  const block = "transformer.single_transformer_blocks.3.attn.to_k";
  const flux = rows([`${block}.lora_A.weight`, `${block}.lora_B.weight`], { element: "BF16" });
  add(
    "diffusers",
    "transformer, BF16, DoRA",
    { [FILE]: safetensors([...flux.tensors, [`${block}.lora_magnitude_vector`, floats([6], 7, "BF16")]]) },
    { [block]: scaled(flux, 1, "none") },
    { roles: { magnitude: 1 } },
  );
  const conv = rows(["unet.conv_in.lora.down.weight", "unet.conv_in.lora.up.weight"], { kernel: [3, 3] });
  add(
    "diffusers",
    "convolution",
    { [FILE]: safetensors(conv.tensors) },
    { "unet.conv_in": scaled(conv, 1, "none") },
  );
}

/* Other trainers of diffusion transformers: names from the code that loads them, named in each row. */

{
  const FAMILIES: readonly (readonly [
    variant: string,
    path: string,
    ends: Keys,
    module: string,
    alpha?: number | undefined,
    carried?: readonly string[],
  ])[] = [
    // diffusers/loaders/lora_conversion_utils.py: _convert_non_diffusers_wan_lora_to_diffusers
    [
      "ai-toolkit, Wan",
      "diffusion_model.blocks.0.self_attn.q",
      [".lora_A.weight", ".lora_B.weight"],
      "transformer.blocks.0.self_attn.q",
    ],
    [
      "ComfyUI, Wan, with differences of biases and norms",
      "diffusion_model.blocks.0.cross_attn.k",
      [".lora_down.weight", ".lora_up.weight"],
      "transformer.blocks.0.cross_attn.k",
      1,
      ["diffusion_model.blocks.0.cross_attn.k.diff_b", "diffusion_model.blocks.0.norm3.diff"],
    ],
    // _convert_kohya_flux_lora_to_diffusers ("ComfyUI.")
    [
      "ComfyUI, Flux",
      "diffusion_model.double_blocks.0.img_attn.qkv",
      [".lora_A.weight", ".lora_B.weight"],
      "transformer.double_blocks.0.img_attn.qkv",
    ],
    [
      "ComfyUI, text encoder",
      "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1",
      [".lora_down.weight", ".lora_up.weight"],
      "text_encoder.text_model.encoder.layers.0.mlp.fc1",
      4,
    ],
    // _convert_hunyuan_video_lora_to_diffusers
    [
      "Hunyuan Video",
      "diffusion_model.double_blocks.0.img_attn_qkv",
      [".lora_A.weight", ".lora_B.weight"],
      "transformer.double_blocks.0.img_attn_qkv",
    ],
    // _convert_non_diffusers_qwen_lora_to_diffusers
    [
      "Qwen-Image-Lightning",
      "transformer_blocks.0.attn.to_q",
      [".lora_down.weight", ".lora_up.weight"],
      "transformer.transformer_blocks.0.attn.to_q",
      8,
    ],
    [
      "Qwen-Image-Lightning of PEFT in memory",
      "transformer_blocks.0.attn.add_k_proj",
      [".lora_A.default.weight", ".lora_B.default.weight"],
      "transformer.transformer_blocks.0.attn.add_k_proj",
    ],
    [
      "ai-toolkit, Qwen-Image",
      "diffusion_model.transformer_blocks.0.img_mlp.net.2",
      [".lora_A.weight", ".lora_B.weight"],
      "transformer.transformer_blocks.0.img_mlp.net.2",
    ],
    // _convert_xlabs_flux_lora_to_diffusers
    [
      "XLabs, Flux",
      "double_blocks.0.processor.qkv_lora1",
      [".down.weight", ".up.weight"],
      "transformer.double_blocks.0.processor.qkv_lora1",
    ],
    [
      "XLabs, Flux, single blocks",
      "single_blocks.3.processor.proj_lora",
      [".down.weight", ".up.weight"],
      "transformer.single_blocks.3.processor.proj_lora",
    ],
    // _convert_bfl_flux_control_lora_to_diffusers
    [
      "Black Forest Labs, Flux",
      "double_blocks.0.img_attn.proj",
      [".lora_A.weight", ".lora_B.weight"],
      "transformer.double_blocks.0.img_attn.proj",
      undefined,
      ["double_blocks.0.img_attn.norm.key_norm.scale"],
    ],
    // comfy/lora.py: the paths of Stable Diffusion 3 in the authors' code
    [
      "ComfyUI, Stable Diffusion 3",
      "diffusion_model.joint_blocks.0.x_block.attn.qkv",
      [".lora_A.weight", ".lora_B.weight"],
      "transformer.joint_blocks.0.x_block.attn.qkv",
    ],
  ];
  for (const [variant, path, [a, b], module, alpha, carried = []] of FAMILIES) {
    const made = rows([path + a, path + b], { rank: 2 });
    const tensors = [...made.tensors, ...carried.map((key): [string, SafeTensor] => [key, floats([6], 9)])];
    if (alpha !== undefined) tensors.push([`${path}.alpha`, number(alpha)]);
    add(
      "diffusers",
      variant,
      { "lora.safetensors": safetensors(tensors) },
      { [module]: alpha === undefined ? scaled(made, 1, "none") : scaled(made, alpha / 2) },
      carried.length === 0 ? {} : { roles: { carried: carried.length }, note: /^Carried/ },
    );
  }
  // OneTrainer writes diffusers' paths after kohya's fashion.
  const one = rows([
    "lora_transformer_single_transformer_blocks_0_proj_mlp.lora_down.weight",
    "lora_transformer_single_transformer_blocks_0_proj_mlp.lora_up.weight",
  ]);
  add(
    "kohya",
    "OneTrainer, Flux",
    {
      "adapter.safetensors": safetensors([
        ...one.tensors,
        ["lora_transformer_single_transformer_blocks_0_proj_mlp.alpha", number(1)],
      ]),
    },
    { "transformer.single_transformer_blocks.0.proj_mlp": scaled(one, 0.5) },
  );
  const fun = rows([
    "lora_unet__blocks_0_self_attn_q.lora_down.weight",
    "lora_unet__blocks_0_self_attn_q.lora_up.weight",
  ]);
  add(
    "kohya",
    "Wan Fun, doubled underscore",
    {
      "adapter.safetensors": safetensors([
        ...fun.tensors,
        ["lora_unet__blocks_0_self_attn_q.alpha", number(1)],
      ]),
    },
    { "unet.blocks.0.self_attn.q": scaled(fun, 0.5) },
  );
  // A program's own prefix in front of a path that begins with the component.
  const twice = rows(kohyaKeys("lora_unet_unet_mid_block_attentions_0_proj_in"));
  add(
    "kohya",
    "doubled unet",
    {
      "adapter.safetensors": safetensors([
        ...twice.tensors,
        ["lora_unet_unet_mid_block_attentions_0_proj_in.alpha", number(1)],
      ]),
    },
    { "unet.mid_block.attentions.0.proj_in": scaled(twice, 0.5) },
  );
}

/* cloneofsimo */

{
  const numbers = [0, 1, 10].map((n) =>
    rows([`unet:${n}:down`, `unet:${n}:up`], { seed: n + 1, element: "F16" }),
  );
  const text = rows(["text_encoder:0:down", "text_encoder:0:up"], { element: "F16" });
  const tensors = [...numbers.flatMap((made) => made.tensors), ...text.tensors];
  add(
    "cloneofsimo",
    "F16, ranks in metadata, a textual inversion",
    {
      "style.safetensors": safetensors([...tensors, ["<s1>", floats([7])]], {
        "unet:0:rank": "2",
        "<s1>": "<embed>",
      }),
    },
    {
      ...Object.fromEntries(numbers.map((made, i) => [`unet:${[0, 1, 10][i]}`, scaled(made, 1, "none")])),
      "text_encoder:0": scaled(text, 1, "none"),
    },
    { roles: { carried: 1 } },
  );
}

/* loralib */

{
  const query = "roberta.encoder.layer.0.attention.self.query";
  const made = rows([`${query}.lora_A`, `${query}.lora_B`], { rank: 4 });
  const modules = { [query]: scaled(made, 4) };
  const tensors: [string, SafeTensor][] = [...made.tensors, ["classifier.dense.weight", floats([3, 3])]];
  const options = { read: { alpha: 16 }, roles: { replace: 1 } };
  add(
    "loralib",
    "with a classifier, alpha given",
    { "mnli.safetensors": safetensors(tensors, undefined) },
    modules,
    options,
  );
  add("loralib", "torch.save", { "mnli.bin": torchFile(tensors) }, modules, { ...options, same: false });
  add("loralib", "torch.save of 2019", { "mnli.pt": torchFile(tensors, "legacy") }, modules, {
    ...options,
    same: false,
  });
  add(
    "loralib",
    "multiplier given",
    { "mnli.safetensors": safetensors(tensors, undefined) },
    { [query]: scaled(made, 0.75, "explicit") },
    { read: { multiplier: 0.75 }, roles: { replace: 1 } },
  );
  // torchtune/modules/peft/_utils.py and models/convert_weights.py
  const tuned = rows(["layers.0.attn.q_proj.lora_a.weight", "layers.0.attn.q_proj.lora_b.weight"]);
  const expected = { "layers.0.attn.q_proj": scaled(tuned, 8) };
  add("loralib", "torchtune, alpha given", { "adapter_0.pt": torchFile(tuned.tensors) }, expected, {
    read: { alpha: 16 },
    same: false,
  });
  add(
    "loralib",
    "torchtune with its configuration",
    {
      "adapter_config.json": json({ peft_type: "LORA", r: 2, lora_alpha: 16 }),
      "adapter_model.safetensors": safetensors(tuned.tensors),
    },
    expected,
  );
}

/* MLX */

{
  const q = columns([`${Q}.lora_a`, `${Q}.lora_b`]);
  const square = columns([`${V}.lora_a`, `${V}.lora_b`], { out: 5, seed: 2 });
  const tensors = [...q.tensors, ...square.tensors];
  const modules = { [Q]: scaled(q, 20, "explicit"), [V]: scaled(square, 20, "explicit") };
  const now = { fine_tune_type: "lora", num_layers: 4, lora_parameters: { rank: 2, scale: 20, dropout: 0 } };
  add(
    "mlx",
    "configuration of 2025, square layer",
    { "adapter_config.json": json(now), "adapters.safetensors": safetensors(tensors, undefined) },
    modules,
  );
  add(
    "mlx",
    "configuration of 2024",
    {
      "adapter_config.json": json({
        lora_layers: 4,
        lora_parameters: { rank: 2, alpha: 16, scale: 20, dropout: 0 },
      }),
      "adapters.safetensors": safetensors(tensors, { format: "mlx" }),
    },
    modules,
    { note: /alpha.*160/ },
  );
  add("mlx", "npz", { "adapter_config.json": json(now), "adapters.npz": npz(tensors, 0, "mlx") }, modules, {
    same: false,
  });
  add(
    "mlx",
    "npz without configuration, multiplier given",
    { "adapters.npz": npz(tensors, 6) },
    { [Q]: scaled(q, 2, "explicit"), [V]: scaled(square, 2, "explicit") },
    { same: false, read: { multiplier: 2 } },
  );
  add(
    "mlx",
    "DoRA",
    {
      "adapter_config.json": json({ ...now, fine_tune_type: "dora" }),
      "adapters.safetensors": safetensors([...q.tensors, [`${Q}.m`, floats([6], 7)]], undefined),
    },
    { [Q]: scaled(q, 20, "explicit") },
    { roles: { magnitude: 1 } },
  );
  const experts = columns(
    ["model.layers.0.mlp.switch_mlp.up_proj.lora_a", "model.layers.0.mlp.switch_mlp.up_proj.lora_b"],
    {
      experts: 3,
    },
  );
  const embedding = columns(["model.embed_tokens.lora_a", "model.embed_tokens.lora_b"], {
    inputs: 9,
    out: 4,
    seed: 3,
  });
  add(
    "mlx",
    "experts and an embedding",
    {
      "adapter_config.json": json(now),
      "adapters.safetensors": safetensors([...experts.tensors, ...embedding.tensors], undefined),
    },
    {
      "model.layers.0.mlp.switch_mlp.up_proj": scaled(experts, 20, "explicit"),
      "model.embed_tokens": scaled(embedding, 20, "explicit"),
    },
  );
}

/** An npz archive; `level` 0 stores. MLX's headers are as mlx 0.4 to 0.29 write them (mlx/io/numpy.cpp, `save`). */
export function npz(
  tensors: readonly (readonly [string, SafeTensor])[],
  level: 0 | 6 = 0,
  by: "numpy" | "mlx" = "numpy",
): Uint8Array {
  const entries = tensors.map(([name, { shape, data }]): [string, Uint8Array] => {
    const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
    const end = by === "mlx" ? `(${shape.map((size) => `${size}, `).join("")})}` : `(${tuple}), }`;
    return [`${name}.npy`, npy(`{'descr': '<f4', 'fortran_order': False, 'shape': ${end}`, data)];
  });
  return zipSync(Object.fromEntries(entries), { level });
}

/** One array of version 1 with this header. */
export function npy(header: string, data: Uint8Array): Uint8Array {
  const text = bytesOf(`${header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11)}\n`);
  const bytes = new Uint8Array(10 + text.length + data.length);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length & 0xff, text.length >> 8]);
  bytes.set(text, 10);
  bytes.set(data, 10 + text.length);
  return bytes;
}

/* GGUF */

const GGUF_TYPES: Record<string, number> = { F32: 0, F16: 1, BF16: 30 };

function ggufAdapter(
  tensors: readonly (readonly [string, SafeTensor])[],
  alpha: number | undefined,
  more: readonly (readonly [string, TypedValue])[] = [],
): Uint8Array {
  return gguf({
    metadata: [
      ["general.architecture", [8, "llama"]],
      ["general.type", [8, "adapter"]],
      ["adapter.type", [8, "lora"]],
      ...more,
      ...(alpha === undefined ? [] : [["adapter.lora.alpha", [6, alpha]] as const]),
    ],
    tensors: tensors.map(([name, { shape, data, element }]) => [
      name,
      { dims: [...shape].reverse(), data, type: GGUF_TYPES[element]! },
    ]),
  });
}

{
  const keys = (name: string): Keys => [`${name}.weight.lora_a`, `${name}.weight.lora_b`];
  const q = rows(keys("blk.0.attn_q"), { out: 8 });
  const down = rows(keys("blk.10.ffn_down"), { element: "F16", rank: 4, seed: 2 });
  add(
    "gguf",
    "alpha, two ranks, F16, other keys",
    {
      "adapter.gguf": ggufAdapter([...q.tensors, ...down.tensors], 8, [
        ["general.name", [8, "mine"]],
        ["general.quantization_version", [4, 2]],
      ]),
    },
    { "blk.0.attn_q": scaled(q, 4), "blk.10.ffn_down": scaled(down, 2) },
  );
  for (const alpha of [0, undefined]) {
    add(
      "gguf",
      alpha === 0 ? "alpha 0" : "no alpha",
      { "mine.gguf": ggufAdapter(q.tensors, alpha) },
      { "blk.0.attn_q": scaled(q, 1, "none") },
      { note: /no alpha, or one of 0/ },
    );
  }
  const embedding = rows(["token_embd.weight.lora_a", "token_embd.weight.lora_b"], { inputs: 9, out: 4 });
  const turned = floats([9, 2], 1);
  const [values, from] = [new Float32Array(18), toFloat32(embedding.tensors[0]![1])];
  for (let i = 0; i < 9; i++) for (let r = 0; r < 2; r++) values[2 * i + r] = from[9 * r + i]!;
  const experts = columns(keys("blk.0.ffn_up_exps"), { experts: 3, seed: 4 });
  add(
    "gguf",
    "embedding, experts, a norm",
    {
      "adapter.gguf": ggufAdapter(
        [
          ["token_embd.weight.lora_a", { ...turned, data: fromFloat32(values, "F32") }],
          embedding.tensors[1]!,
          ...experts.tensors,
          ["blk.0.attn_norm.weight", floats([5], 3)],
        ],
        2,
      ),
    },
    { token_embd: scaled(embedding, 1), "blk.0.ffn_up_exps": scaled(experts, 1) },
    { roles: { carried: 1 } },
  );
  const big = rows(keys("blk.0.attn_v"), { inputs: 32, out: 3, seed: 5 });
  const [blocks, exact] = q8(big.tensors[0]![1]);
  const product = new Float64Array(3 * 32);
  const b = toFloat32(big.tensors[1]![1]);
  for (let o = 0; o < 3; o++) {
    for (let r = 0; r < 2; r++) {
      for (let i = 0; i < 32; i++) product[32 * o + i]! += b[2 * o + r]! * exact[32 * r + i]!;
    }
  }
  add(
    "gguf",
    "Q8_0",
    {
      "adapter.gguf": gguf({
        metadata: [
          ["general.architecture", [8, "llama"]],
          ["general.type", [8, "adapter"]],
          ["adapter.type", [8, "lora"]],
          ["adapter.lora.alpha", [6, 4]],
        ],
        tensors: [
          [keys("blk.0.attn_v")[0], { dims: [32, 2], data: blocks, type: 8 }],
          [keys("blk.0.attn_v")[1], { dims: [2, 3], data: big.tensors[1]![1].data }],
        ],
      }),
    },
    { "blk.0.attn_v": scaled({ tensors: [], product }, 2) },
    { same: false, note: /Q8_0 become F32, exactly/ },
  );
}

/** Blocks of Q8_0 and the values they stand for. Scales are 1/16. */
function q8(tensor: SafeTensor): [Uint8Array, Float32Array] {
  const values = toFloat32(tensor);
  const bytes = new Uint8Array((values.length / 32) * 34);
  const exact = values.map((value) => Math.round(value * 16) / 16);
  for (let i = 0; i < values.length; i++) {
    const at = Math.floor(i / 32) * 34;
    bytes.set([0x00, 0x2c], at);
    bytes[at + 2 + (i % 32)] = Math.round(values[i]! * 16) & 0xff;
  }
  return [bytes, exact];
}

/* ONNX */

{
  const q = columns([`${Q}.lora_A.weight`, `${Q}.lora_B.weight`]);
  const matmul = columns([`${V}.lora_A.MatMul.weight`, `${V}.lora_B.MatMul.weight`], {
    element: "F16",
    seed: 2,
    out: 5,
  });
  const tensors = new Map([...q.tensors, ...matmul.tensors]);
  add(
    "onnx",
    "two styles of names, versions",
    {
      "my.onnx_adapter": onnxAdapter([...tensors]),
    },
    { [Q]: scaled(q, 1, "none"), [V]: scaled(matmul, 1, "none") },
  );
  add(
    "onnx",
    "npz of Olive, without a configuration",
    { "adapter_weights.npz": npz(q.tensors, 6) },
    { [Q]: scaled(q, 1, "none") },
    { same: false },
  );
  add(
    "onnx",
    "adapter_weights.fb of ONNX Runtime GenAI",
    { "adapter_weights.fb": genaiAdapter([...tensors]) },
    { [Q]: scaled(q, 1, "none"), [V]: scaled(matmul, 1, "none") },
    { same: false },
  );
}

/** A list of tensors as both schemas of ONNX have them: name, dimensions, ONNX type, data. */
function onnxTensors(builder: Builder, tensors: readonly (readonly [string, SafeTensor])[]): number {
  const tables = tensors.map(([name, { element, shape, data }]) => {
    builder.prep(8, data.length);
    const bytes = builder.createByteVector(data);
    builder.startVector(8, shape.length, 8);
    for (const size of [...shape].reverse()) builder.addInt64(BigInt(size));
    const dims = builder.endVector();
    const text = builder.createString(name);
    builder.startObject(4);
    builder.addFieldOffset(0, text, 0);
    builder.addFieldOffset(1, dims, 0);
    builder.addFieldInt32(2, element === "F16" ? 10 : 1, 0);
    builder.addFieldOffset(3, bytes, 0);
    return builder.endObject();
  });
  builder.startVector(4, tables.length, 4);
  for (const table of tables.reverse()) builder.addOffset(table);
  return builder.endVector();
}

/** A file by adapter_format.fbs of microsoft/onnxruntime: its own version, that of the adapter, that of the model, the tensors. */
export function onnxAdapter(
  tensors: readonly (readonly [string, SafeTensor])[],
  versions = [1, 3, 7] as readonly number[],
): Uint8Array {
  const builder = new Builder(1024);
  const list = onnxTensors(builder, tensors);
  builder.startObject(4);
  for (const [field, version] of versions.entries()) builder.addFieldInt32(field, version, 0);
  builder.addFieldOffset(3, list, 0);
  builder.finish(builder.endObject(), "TORT");
  return builder.asUint8Array().slice();
}

/** A file by genai_lora.fbs of microsoft/onnxruntime-genai: a version and the tensors. */
function genaiAdapter(tensors: readonly (readonly [string, SafeTensor])[]): Uint8Array {
  const builder = new Builder(1024);
  const list = onnxTensors(builder, tensors);
  builder.startObject(2);
  builder.addFieldInt32(0, 1, 0);
  builder.addFieldOffset(1, list, 0);
  builder.finish(builder.endObject(), "GAIL");
  return builder.asUint8Array().slice();
}

/** All of them. */
export const SMALL_ADAPTERS: readonly SmallAdapter[] = all;
