/**
 * A base model's `config.json` in transformers' format, and the sizes in it.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type JsonObject, parseJson, quoteName } from "../json.ts";

const WHERE = "the base model's config.json";

/** Parses a configuration. @throws LqaError SOURCE_CONFIG */
export function parseModelConfig(bytes: Uint8Array): JsonObject {
  const config = parseJson(bytes, KIND.SOURCE_CONFIG, WHERE);
  return config instanceof Map ? config : fail(KIND.SOURCE_CONFIG, { where: WHERE, expected: "an object" });
}

/**
 * The first of several fields that is present; undefined if none is. A null field counts as absent.
 *
 * @throws LqaError SOURCE_CONFIG if the field is not a positive integer
 */
export function configSize(config: JsonObject, ...names: readonly string[]): number | undefined {
  for (const name of names) {
    const value = config.get(name);
    if (value === undefined || value === null) continue;
    if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
    return fail(KIND.SOURCE_CONFIG, {
      where: `${WHERE}, field ${quoteName(name)}`,
      expected: "a positive integer",
    });
  }
  return undefined;
}

/** Numbers of query heads and of key-value heads; undefined if the configuration lacks them. @throws LqaError SOURCE_CONFIG */
export function configHeads(config: JsonObject): { heads: number | undefined; keyHeads: number | undefined } {
  const heads = configSize(config, "num_attention_heads", "n_head");
  return { heads, keyHeads: configSize(config, "num_key_value_heads") ?? heads };
}
