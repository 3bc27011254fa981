/**
 * A base model's `config.json` of transformers, and the sizes in it.
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
 * The first of some fields that is there; undefined if none is. A field of null counts as absent.
 *
 * @throws LqaError SOURCE_CONFIG if it is no positive integer
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

/** Heads of queries, and of keys and values. Undefined where the configuration does not say. @throws LqaError SOURCE_CONFIG */
export function configHeads(config: JsonObject): { heads: number | undefined; keyHeads: number | undefined } {
  const heads = configSize(config, "num_attention_heads", "n_head");
  return { heads, keyHeads: configSize(config, "num_key_value_heads") ?? heads };
}
