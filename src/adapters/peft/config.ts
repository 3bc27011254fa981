/**
 * `adapter_config.json`: the fields of a PEFT configuration that decide the meaning of the tensors.
 *
 * Guarantees that every field that could change the maths is either in {@link PeftConfig} or absent from the file
 * (`fields.ts`), and that values have the types that PEFT's own code relies on.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { WorkMeter } from "../../meter.ts";
import { configurationMeter, type JsonObject, type JsonValue, parseJson, quoteName } from "../json.ts";
import { refusePeftType } from "../other-methods.ts";
import { checkFields, describe } from "./fields.ts";
import { compilePatterns, type PatternTable } from "./pattern.ts";

/** The resolved configuration. Defaults are PEFT's: r 8, alpha 8, everything else off. */
export interface PeftConfig {
  readonly r: number;
  readonly loraAlpha: number;
  readonly useRslora: boolean;
  /** Entries are in file order: the first match wins. */
  readonly rankPattern: PatternTable;
  readonly alphaPattern: PatternTable;
  /** Base weights of linear layers are (in, out), as in the GPT-2 family. */
  readonly fanInFanOut: boolean;
  readonly bias: "none" | "all" | "lora_only";
  readonly loraBias: boolean;
  readonly useDora: boolean;
  readonly modulesToSave: readonly string[];
  /** Token indices of the input embedding, or of several layers by name; undefined if there are none. */
  readonly tokenIndices: readonly number[] | ReadonlyMap<string, readonly number[]> | undefined;
  /** Adapted bare parameters (experts): ends of their paths. */
  readonly targetParameters: readonly string[];
  /** True if the file may hold training state of VeLoRA (`velora`) or MonteCLoRA (`monteclora`) next to the factors. */
  readonly velora: boolean;
  readonly monteclora: boolean;
  readonly baseModel: string | undefined;
  readonly revision: string | undefined;
  readonly peftVersion: string | undefined;
  /** Fields that this version does not know, and PEFT ignores. */
  readonly unknown: readonly string[];
  /** Counts the work of comparing keys with the lists of the configuration. */
  readonly meter: WorkMeter;
}

/**
 * Heads that PEFT saves with an adapter because of its task (`PeftModelForSequenceClassification` and the like), whatever the
 * configuration says: PEFT 0.2 to 0.6 left `modules_to_save` null for them.
 */
const HEADS: ReadonlyMap<JsonValue, readonly string[]> = new Map([
  ["SEQ_CLS", ["classifier", "score"]],
  ["TOKEN_CLS", ["classifier", "score"]],
  ["QUESTION_ANS", ["qa_outputs"]],
]);

/**
 * Reads a configuration.
 *
 * @throws LqaError SOURCE_CONFIG for broken JSON (with the byte offset), repeated keys or a value of a wrong type;
 * UNSUPPORTED_ADAPTER_FEATURE for another PEFT method than LoRA and for fields that `fields.ts` refuses; BUDGET for a
 * configuration that is too large or whose patterns are.
 */
export function parsePeftConfig(bytes: Uint8Array): PeftConfig {
  const meter = configurationMeter("adapter_config.json");
  return readPeftConfig(parseJson(bytes, KIND.SOURCE_CONFIG, "adapter_config.json", meter), meter);
}

/**
 * As {@link parsePeftConfig}, for a configuration that is already parsed.
 *
 * @param meter the meter that counted the parsing
 * @throws LqaError as {@link parsePeftConfig}
 */
export function readPeftConfig(config: JsonValue, meter: WorkMeter): PeftConfig {
  if (!(config instanceof Map)) {
    return fail(KIND.SOURCE_CONFIG, {
      where: "adapter_config.json",
      expected: "an object",
      actual: describe(config),
    });
  }
  checkMethod(config);
  return {
    unknown: checkFields(config),
    r: positiveInteger("r", config.get("r") ?? 8),
    // Left out it is 8; PEFT itself fails on null.
    loraAlpha: number("lora_alpha", config.has("lora_alpha") ? config.get("lora_alpha")! : 8),
    useRslora: flag(config, "use_rslora"),
    rankPattern: compilePatterns(table(config, "rank_pattern", positiveInteger), "rank_pattern", meter),
    alphaPattern: compilePatterns(table(config, "alpha_pattern", number), "alpha_pattern", meter),
    fanInFanOut: flag(config, "fan_in_fan_out"),
    bias: bias(config),
    loraBias: flag(config, "lora_bias"),
    useDora: flag(config, "use_dora"),
    modulesToSave: [
      ...list("modules_to_save", config.get("modules_to_save") ?? null, string),
      ...(HEADS.get(config.get("task_type") ?? null) ?? []),
    ],
    tokenIndices: tokenIndices(config.get("trainable_token_indices") ?? null),
    targetParameters: list("target_parameters", config.get("target_parameters") ?? null, string),
    velora: (config.get("velora_config") ?? null) !== null,
    monteclora: (config.get("monteclora_config") ?? null) !== null,
    baseModel: optionalString(config, "base_model_name_or_path"),
    revision: optionalString(config, "revision"),
    peftVersion: optionalString(config, "peft_version"),
    meter,
  };
}

function checkMethod(config: JsonObject): void {
  const method = config.get("peft_type");
  if (typeof method !== "string") wrong("peft_type", '"LORA"', method);
  if (method !== "LORA") refusePeftType(method);
}

function wrong(field: string, expected: string, value: JsonValue | undefined): never {
  return fail(KIND.SOURCE_CONFIG, {
    where: `adapter_config.json field ${quoteName(field)}`,
    expected,
    actual: describe(value),
  });
}

function number(field: string, value: JsonValue): number {
  return typeof value === "number" ? value : wrong(field, "a number", value);
}

function positiveInteger(field: string, value: JsonValue): number {
  return Number.isSafeInteger(value) && (value as number) > 0
    ? (value as number)
    : wrong(field, "a positive integer", value);
}

function tokenIndex(field: string, value: JsonValue): number {
  const fits = typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 32;
  return fits ? value : wrong(field, "integers from 0 to 2^32-1", value);
}

function string(field: string, value: JsonValue): string {
  return typeof value === "string" ? value : wrong(field, "strings", value);
}

function optionalString(config: JsonObject, field: string): string | undefined {
  const value = config.get(field) ?? null;
  if (value === null || value === "") return undefined;
  return string(field, value);
}

function flag(config: JsonObject, field: string): boolean {
  const value = config.get(field) ?? false;
  return typeof value === "boolean" ? value : wrong(field, "true or false", value);
}

function bias(config: JsonObject): PeftConfig["bias"] {
  const value = config.get("bias") ?? "none";
  if (value === "none" || value === "all" || value === "lora_only") return value;
  return wrong("bias", '"none", "all" or "lora_only"', value);
}

function list<T>(field: string, value: JsonValue, item: (field: string, value: JsonValue) => T): T[] {
  if (value === null) return [];
  return Array.isArray(value)
    ? value.map((entry) => item(field, entry))
    : wrong(field, "a list or null", value);
}

function table(
  config: JsonObject,
  field: string,
  item: (field: string, value: JsonValue) => number,
): ReadonlyMap<string, number> {
  const value = config.get(field) ?? null;
  if (value === null) return new Map();
  if (!(value instanceof Map)) return wrong(field, "an object or null", value);
  for (const entry of value.values()) item(field, entry);
  return value as ReadonlyMap<string, JsonValue> as ReadonlyMap<string, number>;
}

function tokenIndices(value: JsonValue): PeftConfig["tokenIndices"] {
  const field = "trainable_token_indices";
  if (!(value instanceof Map)) {
    const indices = list(field, value, tokenIndex);
    return indices.length === 0 ? undefined : distinct(indices);
  }
  if (value.size === 0) return undefined;
  return new Map([...value].map(([name, indices]) => [name, distinct(list(field, indices, tokenIndex))]));
}

/** PEFT copies the rows one after another, so of two rows with one index only the last would count. */
function distinct(indices: number[]): number[] {
  const seen = new Set<number>();
  for (const index of indices) {
    if (seen.has(index)) wrong("trainable_token_indices", "distinct indices", index);
    seen.add(index);
  }
  return indices;
}
