// Adapters of every dialect this version reads: a configuration and a safetensors file in one input, the length of the
// configuration in its first two bytes. What is accepted is written again without a defect.
import { readAdapter, writeAdapter } from "../../dist/adapters/index.js";
import { outcome, target } from "../contract.mjs";

const NAMES = [
  ["adapter_config.json", "adapter_model.safetensors"],
  ["adapters.json", "adapters.safetensors"],
  ["config.json", "pytorch_lora_weights.safetensors"],
  ["notes.json", "lora.safetensors"],
];

export const fuzz = target((input, variant) => {
  if (input.length < 2) return;
  const end = 2 + (input[0] | (input[1] << 8));
  const [config, weights] = NAMES[variant & 3];
  const files = new Map([[weights, input.subarray(Math.min(end, input.length))]]);
  if ((variant & 4) === 0) files.set(config, input.subarray(2, end));
  const { value } = outcome(() => readAdapter(files));
  if (value !== undefined) outcome(() => writeAdapter(value, { factors: variant & 8 ? "F16" : "source" }));
});
