/**
 * What llama.cpp's names of layers require of the base model: its architecture, and its number of attention heads, because
 * llama.cpp stores the queries and keys of some models with the rows of each head in another order.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { readGgufHeader } from "../gguf/read.ts";
import { quoteName } from "../json.ts";
import { configHeads, parseModelConfig } from "./model-config.ts";

/** A base model. */
export interface BaseDescription {
  /** llama.cpp's name of the architecture, e.g. `llama`. */
  readonly architecture: string;
  /** Number of query heads; `keyHeads`: number of heads of keys and values. */
  readonly heads: number;
  readonly keyHeads: number;
  /**
   * Shapes of its weights by llama.cpp's names, outermost axis first, from a whole GGUF file. `writeAdapter`
   * refuses an adapter that does not fit them.
   */
  readonly shapes?: ReadonlyMap<string, readonly number[]>;
}

/** transformers' `model_type` to llama.cpp's architecture, for models whose converter changes no weights except q and k. */
const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ["llama", "llama"],
  ["mistral", "llama"],
  ["qwen2", "qwen2"],
  ["qwen3", "qwen3"],
  ["gemma", "gemma"],
  ["gemma2", "gemma2"],
  ["gemma3_text", "gemma3"],
  ["phi3", "phi3"],
  ["phi", "phi2"],
  ["starcoder2", "starcoder2"],
  ["stablelm", "stablelm"],
  ["gpt2", "gpt2"],
  ["olmo2", "olmo2"],
]);

/**
 * Reads a `config.json` of transformers.
 *
 * @throws LqaError SOURCE_CONFIG if it is broken or lacks a field; UNSUPPORTED_DIALECT for an architecture whose
 * conversion this version does not know
 */
export function baseFromConfig(bytes: Uint8Array): BaseDescription {
  const where = "the base model's config.json";
  const config = parseModelConfig(bytes);
  const type = config.get("model_type");
  const architecture = typeof type === "string" ? ARCHITECTURES.get(type) : undefined;
  if (architecture === undefined) {
    return fail(KIND.UNSUPPORTED_DIALECT, {
      where: `${where}, field "model_type"`,
      expected: [...ARCHITECTURES.keys()].join(", "),
      actual: typeof type === "string" ? quoteName(type) : "none",
      advice: "Convert a PEFT directory with llama.cpp's convert_lora_to_gguf.py instead.",
    });
  }
  const { heads, keyHeads } = configHeads(config);
  if (heads !== undefined && keyHeads !== undefined) return { architecture, heads, keyHeads };
  return fail(KIND.SOURCE_CONFIG, { where, expected: "a number of attention heads", actual: "none" });
}

/**
 * Reads the header of a base model in GGUF. `bytes` may be only the beginning of the file.
 *
 * @throws LqaError TRUNCATED_SOURCE if the header continues after `bytes`; SOURCE_HEADER, UNSUPPORTED_DIALECT
 */
export function baseFromGguf(bytes: Uint8Array): BaseDescription {
  const where = "the base model's GGUF file";
  const { metadata, dims } = readGgufHeader(bytes);
  const architecture = metadata.get("general.architecture");
  if (typeof architecture !== "string" || ![...ARCHITECTURES.values()].includes(architecture)) {
    return fail(KIND.UNSUPPORTED_DIALECT, {
      where,
      expected: `an architecture of ${[...new Set(ARCHITECTURES.values())].join(", ")}`,
      actual: String(architecture).slice(0, 40),
      advice: "Convert a PEFT directory with llama.cpp's convert_lora_to_gguf.py instead.",
    });
  }
  const number = (field: string): number | undefined => {
    const key = `${architecture}.attention.${field}`;
    const value = metadata.get(key);
    if (value === undefined || (typeof value === "number" && value > 0)) return value;
    // A list has one number per layer, and they differ.
    const actual = typeof value === "object" ? "a list" : String(value).slice(0, 40);
    return fail(KIND.UNSUPPORTED_DIALECT, {
      where: `${where}, key ${key}`,
      expected: "one number of heads",
      actual,
    });
  };
  const heads = number("head_count");
  if (heads === undefined)
    return fail(KIND.SOURCE_HEADER, { where, expected: "a number of attention heads" });
  const parts = metadata.get("split.count");
  // A shard of a split model has only some of the tensors; a file with only a vocabulary has none.
  const whole = dims.size > 0 && !(typeof parts === "number" && parts > 1);
  return {
    architecture,
    heads,
    keyHeads: number("head_count_kv") ?? heads,
    ...(whole && { shapes: new Map([...dims].map(([name, sizes]) => [name, [...sizes].reverse()])) }),
  };
}
