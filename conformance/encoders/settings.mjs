// What the encoders of all runtimes are compared on: two adapters, and every profile and policy. Runs in every runtime,
// browsers included. Nothing here depends on an engine's own Math.

/** Numbers in (-6, 6) with variance 1, the same on every engine: additions of mulberry32. */
function noise(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Array.from({ length: 12 }, uniform).reduce((sum, x) => sum + x, -6);
}

/** A safetensors file of F32 tensors, [name, shape, values]. */
function safetensors(tensors) {
  const header = {};
  let at = 0;
  for (const [name, shape, { length }] of tensors) {
    header[name] = { dtype: "F32", shape, data_offsets: [at, at + 4 * length] };
    at += 4 * length;
  }
  const json = JSON.stringify(header);
  const text = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
  const bytes = new Uint8Array(8 + text.length + at);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, text.length, true);
  bytes.set(text, 8);
  let next = 8 + text.length;
  for (const [, , values] of tensors)
    for (const value of values) {
      view.setFloat32(next, value, true);
      next += 4;
    }
  return bytes;
}

/**
 * A small PEFT directory with what the example lacks: channels far larger than the others, for which weights are rotated;
 * ranks that differ, names that sort as numbers, a convolution, an embedding, DoRA magnitudes, biases, and a saved module
 * that compresses well.
 */
function mixed() {
  const next = noise(7);
  const fill = (length, scale = () => 1) => Float32Array.from({ length }, (_, i) => next() * scale(i));
  const tensors = [];
  const add = (name, shape, scale) =>
    tensors.push([
      `base_model.model.${name}`,
      shape,
      fill(
        shape.reduce((x, y) => x * y),
        scale,
      ),
    ]);
  const linear = (name, out, inp, rank, outliers) => {
    // Component i is weaker than the one before it, as in trained adapters.
    add(
      `${name}.lora_A.weight`,
      [rank, inp],
      (i) => (outliers && i % 37 === 0 ? 40 : 1) / (1 + Math.floor(i / inp)),
    );
    add(`${name}.lora_B.weight`, [out, rank], (i) => (outliers && i % 41 === 0 ? 1 : 0.02));
    add(`${name}.lora_magnitude_vector`, [out], () => 0.5);
  };
  for (const layer of [0, 2, 10]) {
    linear(`layers.${layer}.q_proj`, 192, 256, layer === 2 ? 3 : 8, layer !== 2);
    linear(`layers.${layer}.v_proj`, 64, 256, 8, layer === 10);
    add(`layers.${layer}.v_proj.bias`, [64], () => 0.1);
  }
  add("stem.conv.lora_A.weight", [4, 8, 3, 3]);
  add("stem.conv.lora_B.weight", [24, 4, 1, 1]);
  add("stem.conv.lora_magnitude_vector", [1, 24, 1, 1]);
  add("tokens.lora_embedding_A", [4, 120]);
  add("tokens.lora_embedding_B", [32, 4]);
  add("tokens.lora_magnitude_vector", [32], () => 0.5);
  const steps = Float32Array.from({ length: 4096 }, (_, i) => Math.floor(next()) / 8 + (i % 4));
  tensors.push(["base_model.model.classifier.weight", [16, 256], steps]);
  const config = {
    peft_type: "LORA",
    task_type: "SEQ_CLS",
    base_model_name_or_path: "example/mixed",
    r: 8,
    lora_alpha: 16,
    rank_pattern: { "layers.2.q_proj": 3, "stem.conv": 4, tokens: 4 },
    use_dora: true,
    bias: "lora_only",
    target_modules: ["q_proj", "v_proj", "conv", "tokens"],
    modules_to_save: ["classifier"],
  };
  return new Map([
    ["adapter_config.json", new TextEncoder().encode(JSON.stringify(config))],
    ["adapter_model.safetensors", safetensors(tensors)],
  ]);
}

/** Options of `encodeAdapter` by name. */
const OPTIONS = {
  "rd-1.5-bits": { bits: 1.5 },
  "rd-1-bit": { bits: 1 },
  "rd-error": { maxError: 0.01 },
  "rd-floor-least-squares": { bits: 2, floor: 1, fit: "least-squares" },
  "rtn-2": { profile: "rtn", codeBits: 2 },
  "rtn-5-vector": { profile: "rtn", codeBits: 5, group: 0 },
  sign: { profile: "sign" },
  "raw-bf16": { profile: "raw", element: "bf16" },
};

/** Of the mixed adapter alone: plain tensors, moments. */
const MORE = {
  "raw-f32-tensors-zstd": { profile: "raw", tensors: "zstd" },
  "raw-f16-tensors-keep": { profile: "raw", element: "f16", tensors: "keep" },
  "raw-f32-tensors-f16": { profile: "raw", tensors: "f16", alignment: 64 },
  "rd-bytes": { maxBytes: 30000 },
  "rd-importance": { bits: 1, calibration: "moments" },
};

/** Second moments of the inputs of every module, as if they had been measured. */
function momentsOf(adapter) {
  const next = noise(11);
  const moments = adapter.modules.map(({ name, kernel, in: inp, experts }) => {
    const inputs = experts * kernel.reduce((product, k) => product * k, inp);
    return [name, Float64Array.from({ length: inputs }, () => next() ** 2)];
  });
  return { moments: new Map(moments), source: new TextEncoder().encode("made up") };
}

/** Every encoding that is compared: [id, options, adapter's name]. */
export const ENCODINGS = [
  ...Object.entries(OPTIONS).map(([name, options]) => [`number-words/${name}`, options, "number-words"]),
  ...Object.entries({ ...OPTIONS, ...MORE }).map(([name, options]) => [`mixed/${name}`, options, "mixed"]),
];

/**
 * Makes all encodings whose id contains `filter`, one after the other: { id, bytes }. `files` is the example adapter, a PEFT
 * directory as a Map.
 */
export async function* encodings({ encodeAdapter, readAdapter }, files, { executor, filter = "" } = {}) {
  const adapters = new Map([
    ["number-words", readAdapter(files)],
    ["mixed", readAdapter(mixed())],
  ]);
  for (const [id, options, name] of ENCODINGS) {
    if (!id.includes(filter)) continue;
    const adapter = adapters.get(name);
    const calibration = options.calibration === undefined ? {} : { calibration: momentsOf(adapter) };
    const { bytes } = await encodeAdapter(adapter, { ...options, ...calibration, executor });
    yield { id, bytes };
  }
}
