/**
 * Parses the key of a tensor: which module or base tensor it belongs to, and as which part.
 *
 * A key on disk is `base_model.model.<path>.<suffix>`. Keys of a model in memory also contain the adapter's name
 * (`….lora_A.default.weight`); the reader accepts both. PEFT leaves wrapper segments inside paths: `base_layer` if a
 * layer is wrapped, `modules_to_save` and `original_module` if a whole module is replaced.
 * @module
 */
import type { PeftConfig } from "./config.ts";

/** The prefix of nearly every key. It is absent if a program saved the state of a model without PeftModel around it. */
export const PREFIX = "base_model.model.";

/** A factor, bias, magnitude or token table of the module at `path`. */
export interface ModuleKey {
  readonly kind: "a" | "b" | "embedding-a" | "embedding-b" | "lora-bias" | "magnitude" | "token-rows";
  /** Path inside the base model, wrapper segments included. */
  readonly path: string;
  /** Name of the adapter, if the key contains it. */
  readonly adapter: string | undefined;
}

/** A whole tensor of the base model (`name` has no wrapper segments), or one that does not take part in the maths. */
export interface TensorKey {
  readonly kind: "replace" | "bias" | "carried" | "wrapped";
  readonly name: string;
}

const MODULE_KEYS: readonly (readonly [RegExp, ModuleKey["kind"]])[] = [
  [/^(.+)\.lora_A(?:\.([^.]+))?\.weight$/, "a"],
  [/^(.+)\.lora_B(?:\.([^.]+))?\.weight$/, "b"],
  [/^(.+)\.lora_B(?:\.([^.]+))?\.bias$/, "lora-bias"],
  [/^(.+)\.lora_embedding_A(?:\.(?!weight$)([^.]+))?$/, "embedding-a"],
  [/^(.+)\.lora_embedding_B(?:\.(?!weight$)([^.]+))?$/, "embedding-b"],
  // PEFT 0.11 made the vector a module with a weight; saving removes that suffix, a state in memory keeps it.
  [/^(.+)\.lora_magnitude_vector(?:\.(?!weight$)([^.]+))?(?:\.weight)?$/, "magnitude"],
  [/^(.+)\.token_adapter\.trainable_tokens_delta(?:\.([^.]+))?$/, "token-rows"],
];

/** Parses a key without its prefix as a part of a module; undefined if it is not one. */
export function parseModuleKey(rest: string): ModuleKey | undefined {
  for (const [pattern, kind] of MODULE_KEYS) {
    const found = pattern.exec(rest);
    if (found !== null) return { kind, path: found[1]!, adapter: found[2] };
  }
  return undefined;
}

/** Suffix of the key of a part. */
export function moduleSuffix(kind: ModuleKey["kind"], adapter: string | undefined): string {
  const name = adapter === undefined ? "" : `.${adapter}`;
  if (kind === "a") return `.lora_A${name}.weight`;
  if (kind === "b") return `.lora_B${name}.weight`;
  if (kind === "lora-bias") return `.lora_B${name}.bias`;
  if (kind === "embedding-a") return `.lora_embedding_A${name}`;
  if (kind === "embedding-b") return `.lora_embedding_B${name}`;
  if (kind === "magnitude") return `.lora_magnitude_vector${name}`;
  return `.token_adapter.trainable_tokens_delta${name}`;
}

/** A path or name without `base_layer` segments, as the base model itself has it. */
export function unwrap(path: string): string {
  return path
    .split(".")
    .filter((segment) => segment !== "base_layer")
    .join(".");
}

/** The path that PEFT matches against patterns: that of the outermost wrapped layer, e.g. attention without its `out_proj`. */
export function patternPath(path: string): string {
  const at = path.indexOf(".base_layer");
  return at < 0 ? path : path.slice(0, at);
}

/** Layers that `get_input_embeddings` and `get_output_embeddings` return; after a resize, PEFT saves them whole. */
const EMBEDDING_LAYERS = new Set([
  "decoder",
  "embed_in",
  "embed_out",
  "embed_tokens",
  "lm_head",
  "output",
  "output_layer",
  "shared",
  "tok_embeddings",
  "token_embedding",
  "word_embeddings",
  "wte",
]);

/** True for the path of a layer whose tensors PEFT may save on its own. */
export function isEmbeddingLayer(path: string): boolean {
  return EMBEDDING_LAYERS.has(path.slice(path.lastIndexOf(".") + 1));
}

/** Layers of {@link EMBEDDING_LAYERS} that multiply; the others look up rows. */
const OUTPUT_LAYERS = new Set(["decoder", "embed_out", "lm_head", "output", "output_layer"]);

/** True if the path's last segment names an embedding of tokens. */
export function isInputEmbedding(path: string): boolean {
  return isEmbeddingLayer(path) && !OUTPUT_LAYERS.has(path.slice(path.lastIndexOf(".") + 1));
}

/**
 * Parses a key without its prefix as a whole tensor, by the first rule that matches:
 * training state of VeLoRA and MonteCLoRA, wrapped modules, `modules_to_save`, `bias`, saved embeddings.
 * Undefined if none matches.
 */
export function parseTensorKey(
  rest: string,
  config: PeftConfig,
  oneDimensional: boolean,
): TensorKey | undefined {
  if (config.velora && rest.endsWith(".lora_velora_embed")) return { kind: "carried", name: rest };
  if (config.monteclora && rest.includes(".lora_monteclora_sampler.")) return { kind: "carried", name: rest };
  const segments = rest.split(".");
  // An adapter's segment in any other place is a convention that this version does not know.
  if (segments.some((segment) => segment.startsWith("lora_") || segment === "token_adapter"))
    return undefined;
  if (segments.includes("original_module")) return { kind: "carried", name: rest };
  if (segments.includes("modules_to_save")) return { kind: "wrapped", name: rest };
  const name = unwrap(rest);
  if (name === "") return undefined;
  if (isSaved(rest, config)) return { kind: "replace", name };
  const leaf = segments[segments.length - 1]!;
  if (config.bias !== "none" && leaf === "bias" && oneDimensional) return { kind: "bias", name };
  // PEFT up to 0.5 also took keys like the attention masks of GPT-2 (`attn.bias`), because it took every key with "bias" in it.
  if (config.bias === "all" && leaf.includes("bias")) return { kind: "replace", name };
  const layer = unwrap(segments.slice(0, -1).join("."));
  if (isEmbeddingLayer(layer) && (leaf === "weight" || leaf === "bias")) return { kind: "replace", name };
  return undefined;
}

/** PEFT wraps every module whose path ends with an entry of the list; this is true for the tensors below such a module. */
function isSaved(key: string, { modulesToSave, meter }: PeftConfig): boolean {
  if (modulesToSave.length === 0) return false;
  for (let dot = key.indexOf("."); dot >= 0; dot = key.indexOf(".", dot + 1)) {
    meter.charge("steps", modulesToSave.length);
    if (modulesToSave.some((name) => key.endsWith(name, dot))) return true;
  }
  return false;
}

/**
 * The base model's tensor that a key with a `modules_to_save` segment names: the key without this segment and without the
 * adapter's name after it, which PEFT adds.
 */
export function unwrapSaved(name: string, adapter: string | undefined): string {
  const segments = name.split(".");
  const at = segments.indexOf("modules_to_save");
  const named = segments[at + 1] === "default" || (adapter !== undefined && segments[at + 1] === adapter);
  segments.splice(at, named ? 2 : 1);
  return segments.join(".");
}
