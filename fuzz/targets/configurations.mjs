// Configurations next to sound weights: of PEFT and MLX, of a base model, and indices of shards. Whatever a field holds,
// reading ends with a result or an LqaError.
import { readAdapter, writeAdapter } from "../../dist/adapters/index.js";
import { baseFromConfig } from "../../dist/adapters/naming/base-description.js";
import { writeSafetensors } from "../../dist/adapters/safetensors.js";
import { parseShardIndex } from "../../dist/node/stored-model.js";
import { outcome, target } from "../contract.mjs";
import { configuration } from "../grammar.mjs";

const f32 = (...shape) => ({
  element: "F32",
  shape,
  data: new Uint8Array(4 * shape.reduce((x, y) => x * y)),
});
const PREFIX = "base_model.model.";
/** Weights of PEFT with what configurations may ask for, and of MLX. */
const WEIGHTS = [
  { "model.layers.0.q_proj.lora_A.weight": f32(2, 8), "model.layers.0.q_proj.lora_B.weight": f32(4, 2) },
  {
    "a.b.lora_A.weight": f32(2, 8),
    "a.b.lora_B.weight": f32(4, 2),
    "a.b.lora_magnitude_vector": f32(4),
    "a.b.lora_B.bias": f32(4),
  },
  {
    "q_proj.lora_A.weight": f32(2, 8),
    "q_proj.lora_B.weight": f32(4, 2),
    "k_proj.weight": f32(4, 4),
    "a.bias": f32(4),
  },
  {
    "a.lora_embedding_A": f32(2, 5),
    "a.lora_embedding_B": f32(4, 2),
    "a.token_adapter.trainable_tokens_delta": f32(2, 4),
  },
  {
    "a.base_layer.lora_A.weight": f32(4, 8),
    "a.base_layer.lora_B.weight": f32(4, 4),
    "a.lora_A.weight": f32(4, 8),
    "a.lora_B.weight": f32(4, 4),
  },
].map((tensors) =>
  writeSafetensors(new Map(Object.entries(tensors).map(([key, tensor]) => [PREFIX + key, tensor]))),
);
const MLX = writeSafetensors(
  new Map(Object.entries({ "layers.0.lora_a": f32(8, 2), "layers.0.lora_b": f32(2, 4) })),
);

export function generate(random) {
  return Buffer.concat([Buffer.from(configuration(random)), Buffer.of(random(16))]);
}

export const fuzz = target((input, variant) => {
  const kind = variant % 8;
  if (kind === 7) return void outcome(() => baseFromConfig(input));
  if (kind === 6) return void outcome(() => parseShardIndex(input));
  const files = new Map([["adapter_config.json", input]]);
  files.set(
    kind === 5 ? "adapters.safetensors" : "adapter_model.safetensors",
    kind === 5 ? MLX : WEIGHTS[kind],
  );
  const { value } = outcome(() => readAdapter(files, { expertLayout: variant & 8 ? "out-in" : undefined }));
  if (value !== undefined) outcome(() => writeAdapter(value, { factors: "source" }));
});
