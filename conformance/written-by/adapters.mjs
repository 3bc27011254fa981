// Small adapters that together have all that a file can hold, by name: what they are, and their files. Every number is made
// here, the same on every machine.
import { seedWords, words } from "./mt19937.mjs";

const WIDTHS = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};
const json = (value) => new TextEncoder().encode(JSON.stringify(value));
const product = (shape) => shape.reduce((x, y) => x * y, 1);

/** Numbers from -1 to 1, by an index: a hash of 32 bits. */
function noise(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    let x = state ^ (state >>> 16);
    x = Math.imul(x, 0x7feb352d);
    x ^= x >>> 15;
    return (x >>> 0) / 2 ** 31 - 1;
  };
}

/** [element, shape, bytes] of F32 numbers; component `row(i)` of a factor is weaker than the one before it. */
function f32(shape, seed, row = () => 0, size = 1) {
  const next = noise(seed);
  const values = Float32Array.from(
    { length: product(shape) },
    (_, i) => (size * (next() + next())) / 1.6 ** row(i),
  );
  return ["F32", shape, new Uint8Array(values.buffer)];
}

/** Bytes that any element type may have: no NaN, and 0 or 1 for Bool. */
function plain(element, shape) {
  const width = WIDTHS[element];
  const bytes = Uint8Array.from({ length: width * product(shape) }, (_, i) =>
    i % width === 0 ? (i / width) & 1 : 0,
  );
  return [element, shape, bytes];
}

/** A safetensors file of { name: [element, shape, bytes] }. */
function safetensors(tensors) {
  const header = {};
  let at = 0;
  for (const [name, [dtype, shape, bytes]] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  const text = json(header);
  const head = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(32);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(text, 8);
  return Buffer.concat([head, ...Object.values(tensors).map(([, , bytes]) => bytes)]);
}

const PEFT = "base_model.model.";
const peft = (tensors, config = {}) => ({
  "adapter_config.json": json({
    peft_type: "LORA",
    r: 8,
    lora_alpha: 16,
    target_modules: "all-linear",
    ...config,
  }),
  "adapter_model.safetensors": safetensors(
    Object.fromEntries(Object.entries(tensors).map(([name, t]) => [PEFT + name, t])),
  ),
});

/** The factors of a module, of falling strength. */
function factors(path, { out = 96, inputs = 192, rank = 8, kernel = [], seed = 1 } = {}) {
  const perRow = product([inputs, ...kernel]);
  return {
    [`${path}.lora_A.weight`]: f32([rank, inputs, ...kernel], seed, (i) => Math.floor(i / perRow)),
    [`${path}.lora_B.weight`]: f32([out, rank, ...kernel.map(() => 1)], seed + 100, (i) => i % rank),
  };
}

const Q = "model.layers.0.self_attn.q_proj";
const V = "model.layers.0.self_attn.v_proj";
const linear = { ...factors(Q), ...factors(V, { seed: 2 }) };
/** Weights that are far apart: scales of binary16 cannot hold those of both modules. */
const wide = Object.fromEntries(
  Object.entries(factors(Q)).map(([name, [, shape]]) => [name, f32(shape, 9, () => 0, 2 ** -40)]),
);

/** A of torch's uniform numbers of seed 42, moved a little, drawn as PEFT draws them, after `first` other draws. */
function begun(shapes, moved, first = 0) {
  const tensors = {};
  shapes.forEach(({ out, inputs, rank }, i) => {
    const path = `model.layers.${i}.self_attn.q_proj`;
    const next = noise(50 + i);
    const size = rank * inputs;
    first += size + rank * out;
    const z = words(seedWords(42), first, size);
    first += size;
    const a = Float32Array.from(
      z,
      (x) => ((x & 0xffffff) / 2 ** 23 - 1 + moved * next()) / Math.sqrt(inputs),
    );
    tensors[`${path}.lora_A.weight`] = ["F32", [rank, inputs], new Uint8Array(a.buffer)];
    tensors[`${path}.lora_B.weight`] = f32([out, rank], 70 + i, (k) => k % rank, 0.02);
  });
  return peft(tensors, { r: shapes[0].rank });
}

const far = { out: 128, inputs: 2 ** 18, rank: 8 };
const some = Array.from({ length: 8 }, () => ({ out: 128, inputs: 512, rank: 8 }));
const near = Array.from({ length: 4 }, () => ({ out: 128, inputs: 256, rank: 4 }));

const kohya = Object.fromEntries(
  Object.entries(factors("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q")).map(
    ([name, t]) => [name.replace("lora_A", "lora_down").replace("lora_B", "lora_up"), t],
  ),
);

/** The weights of the base model that `linear` changes. */
export const BASE = safetensors(
  Object.fromEntries([Q, V].map((path, i) => [`${path}.weight`, f32([96, 192], 30 + i)])),
);

/** Name: [what it is, its files]. */
export const ADAPTERS = {
  linear: [
    "PEFT, two linear layers",
    peft(linear, { base_model_name_or_path: "example/base", revision: "main" }),
  ],
  next: [
    "`linear` after another step",
    peft(
      Object.fromEntries(
        Object.entries(linear).map(([name, [element, shape, bytes]]) => {
          const next = noise(5);
          const values = new Float32Array(bytes.slice().buffer).map((x) => x * (1 + next() / 50));
          return [name, [element, shape, new Uint8Array(values.buffer)]];
        }),
      ),
    ),
  ],
  both: [
    "`next` with a layer more",
    peft({ ...linear, ...factors("model.layers.1.self_attn.q_proj", { seed: 4 }) }),
  ],
  tiny: ["weights near 2^-40", peft(wide)],
  rslora: ["`use_rslora`", peft(linear, { use_rslora: true })],
  kohya: ["kohya, without alpha", { "kohya.safetensors": safetensors(kohya) }],
  outliers: [
    "a few channels far larger than the others",
    peft(
      {
        [`${Q}.lora_A.weight`]: f32([16, 512], 1, (i) => (i % 37 === 0 ? -8 : 0) + Math.floor(i / 512) / 2),
        [`${Q}.lora_B.weight`]: f32([512, 16], 2, (i) => (i % 41 === 0 ? -8 : 0)),
      },
      { r: 16 },
    ),
  ],
  loralib: [
    "loralib: no alpha in the file",
    {
      "loralib.safetensors": safetensors({
        "attn.q_proj.lora_A": f32([8, 192], 1, (i) => Math.floor(i / 192)),
        "attn.q_proj.lora_B": f32([96, 8], 2, (i) => i % 8),
      }),
    },
  ],
  "in-out": ["`fan_in_fan_out`", peft(factors("transformer.h.0.attn.c_attn"), { fan_in_fan_out: true })],
  embedding: [
    "an embedding with DoRA",
    peft(
      {
        "model.embed_tokens.lora_embedding_A": f32([8, 120], 1, (i) => Math.floor(i / 120)),
        "model.embed_tokens.lora_embedding_B": f32([96, 8], 2, (i) => i % 8),
        "model.embed_tokens.lora_magnitude_vector": f32([96], 3),
      },
      { use_dora: true },
    ),
  ],
  conv1d: ["convolutions of one dimension", peft(factors("conv", { inputs: 16, kernel: [3] }))],
  conv2d: ["of two", peft(factors("conv", { inputs: 16, kernel: [3, 3] }))],
  conv3d: ["of three", peft(factors("conv", { inputs: 16, kernel: [3, 3, 3] }))],
  experts: [
    "`target_parameters` with two experts",
    peft(
      {
        "model.layers.0.mlp.experts.lora_A.weight": f32([16, 192], 1, (i) => Math.floor(i / 192) % 8),
        "model.layers.0.mlp.experts.lora_B.weight": f32([96, 16], 2, (i) => (i % 16) >> 1),
      },
      { target_parameters: ["mlp.experts.down_proj"], peft_version: "0.21.0" },
    ),
  ],
  dora: [
    "DoRA and `lora_bias`",
    peft(
      { ...factors(Q), [`${Q}.lora_magnitude_vector`]: f32([96], 3), [`${Q}.lora_B.bias`]: f32([96], 4) },
      { use_dora: true, lora_bias: true },
    ),
  ],
  saved: [
    "a saved module and biases",
    peft(
      {
        ...linear,
        "score.weight": [
          "F32",
          [64, 192],
          new Uint8Array(4 * 64 * 192).map((_, i) => (i % 4 === 3 ? 0x3c + ((i >> 9) & 3) : 0)),
        ],
        [`${Q}.base_layer.bias`]: f32([96], 5),
      },
      { modules_to_save: ["score"], bias: "all" },
    ),
  ],
  tokens: [
    "`trainable_token_indices`",
    peft(
      {
        ...linear,
        "model.embed_tokens.token_adapter.trainable_tokens_delta": f32([2, 192], 6),
      },
      { trainable_token_indices: { embed_tokens: [1, 7] } },
    ),
  ],
  carried: [
    "kohya, beside LoKr tensors of every element type",
    {
      "kohya.safetensors": safetensors({
        ...kohya,
        ...Object.fromEntries(
          Object.keys(WIDTHS).map((element) => [
            `lora_unet_extra_${element.toLowerCase()}.lokr_w1`,
            plain(element, [300]),
          ]),
        ),
      }),
    },
  ],
  begun: ["A as torch begins it with seed 42, hardly trained", begun(near, 0.002)],
  trained: ["the same, trained more", begun(near, 0.03)],
  late: ["the same as `begun`, behind 2^21 draws", begun(some, 0.002, 2 ** 21)],
  later: ["the same, with a long layer among them", begun([...some, far, ...some], 0.002, 2 ** 21)],
};
