/**
 * The PEFT dialect: directories that Hugging Face PEFT's `save_pretrained` writes for LoRA.
 *
 * @module
 */
import type { Dialect } from "../dialect.ts";
import { isTorchtuneKey } from "../loralib.ts";
import { isModelsOwn } from "../naming/prefixes.ts";
import { isOnnxNpz } from "../onnx/index.ts";
import type { Source } from "../source.ts";
import { readPeft } from "./read.ts";
import { writePeft } from "./write.ts";

/** See {@link Dialect}. Reads the files of PEFT 0.2 to 0.21; `fields.ts` lists every field and its treatment. */
export const peft: Dialect = {
  name: "peft",
  title: "PEFT (adapter_config.json and adapter_model.safetensors or .bin)",
  naming: "model",
  detect,
  read: readPeft,
  write: writePeft,
};

/** Fields that only a configuration of MLX has. */
const MLX_FIELDS = ["fine_tune_type", "lora_parameters", "lora_layers"];

/**
 * True for a configuration that names a PEFT method, for PEFT's file names with a configuration that is not MLX's, and for
 * PEFT's keys without any configuration (the reader then reports that the configuration is missing).
 */
function detect(source: Source): boolean {
  const { settings, config, weights, keys } = source;
  if (weights === undefined || isOnnxNpz(source) || keys.some(isTorchtuneKey)) return false;
  if (settings?.has("peft_type") === true) return true;
  if (config === undefined) return keys.some((key) => /\.lora_[AB]\.weight$/.test(key) && !isPipeline(key));
  const mlx = settings !== undefined && MLX_FIELDS.some((field) => settings.has(field));
  return !mlx && /^adapter_model\./.test(weights.name);
}

/** True for keys of diffusers and other diffusion programs. GPT-2's keys also begin with `transformer.`, followed by a block. */
function isPipeline(key: string): boolean {
  if (isModelsOwn(key)) return true;
  return /^(unet|text_encoder(_[23])?|prior|controlnet|transformer_2|transformer\.(?!h\.\d))/.test(key);
}
