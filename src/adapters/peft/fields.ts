/**
 * Every field that `adapter_config.json` had in PEFT 0.2 to 0.21, and how the reader treats it.
 *
 * PEFT itself drops an unknown field with a warning, and most servers drop it without one: a new option that
 * changes the maths then silently changes the results. So this reader ignores nothing by default. A field is resolved
 * (its effect is in the modules), informative (it chose or trained the modules, which the file lists by name), refused, or
 * unknown. Unknown fields must be absent or empty.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type JsonObject, type JsonValue, quoteName } from "../json.ts";

/** Read by `config.ts`; the effect is in the adapter. */
const RESOLVED: readonly string[] = [
  "peft_type",
  "r",
  "lora_alpha",
  "use_rslora",
  "rank_pattern",
  "alpha_pattern",
  "fan_in_fan_out",
  "bias",
  "lora_bias",
  "use_dora",
  "modules_to_save",
  "trainable_token_indices",
  "target_parameters",
  "init_lora_weights",
];

/** No effect on the meaning of the saved tensors. The origin record keeps them with the whole configuration. */
const INFORMATIVE: readonly string[] = [
  // Which modules were adapted: the tensors say this more exactly.
  "target_modules",
  "exclude_modules",
  "layers_to_transform",
  "layers_pattern",
  // Provenance.
  "auto_mapping",
  "base_model_name_or_path",
  "inference_mode",
  "peft_version",
  "revision",
  "task_type",
  // Training only.
  "corda_config",
  "eva_config",
  "loftq_config",
  "lora_dropout",
  "lora_ga_config",
  "monteclora_config", // samples around A while training; at inference PEFT computes plain LoRA
  "velora_config", // compresses activations for the backward pass only
  // Both factors of a tied pair are in the file; the tie is the base model's.
  "ensure_weight_tying",
  // The place of the code of a parallel layer. megatron_config, which is refused, describes the layer itself.
  "megatron_core",
  // No effect without use_qalora, which is refused.
  "qalora_group_size",
  // Options of the loader; PEFT drops the field when it reads it from a file.
  "runtime_config",
  "merge_weights", // PEFT 0.2: merge when switched to evaluation
  // ms-swift writes its training options into the same file.
  "lora_dtype",
  "lorap_emb_lr",
  "lorap_lr_ratio",
];

/** Fields that change ΔW into something that this format cannot express, with the reason. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ["alora_invocation_tokens", "the adapter acts only after a token sequence (aLoRA)"],
  ["arrow_config", "the adapter is routed among others at run time (Arrow)"],
  ["enable_lora", "only parts of a fused layer are adapted (PEFT 0.2 MergedLinear)"],
  ["kasa_config", "a diagonal stands between the factors and the base weights are truncated (KaSA)"],
  ["layer_replication", "module names refer to layers that PEFT repeats when it loads the adapter"],
  ["megatron_config", "the factors belong to tensor-parallel Megatron layers"],
  ["use_bdlora", "factors are stored block-diagonally (BD-LoRA)"],
  ["use_qalora", "A sees pooled inputs (QA-LoRA)"],
]);

const PAGE = "docs/guide/migrating.md#adapters-that-change-their-base";
const KEEP_BASE = "Save the base model as PEFT changes it, and name that model in adapter_config.json";

/** Initializations that only choose the starting point of training. */
const PLAIN_INITS: readonly JsonValue[] = [null, true, false, "gaussian", "eva", "orthogonal", "mica"];

/**
 * Initializations that change the base weights. Such an adapter is correct only on that modified base, which PEFT computes
 * again at every load, and other programs do not. After a conversion to plain LoRA the field is true, so converted adapters
 * pass. PEFT converts PiSSA and OLoRA at any time, to the same outputs. The others start from random numbers or from data,
 * so only the factors from before the training give the difference. The page has programs for all of them.
 */
const REWRITING_INITS: readonly (readonly [RegExp, advice: string])[] = [
  [/^(pissa|olora)$/i, "Convert it to plain LoRA with PEFT"],
  [
    /^(pissa_niter_\d+|corda|lora_ga)$/i,
    "Convert it to plain LoRA with PEFT, with the factors from before the training",
  ],
  [/^loftq$/i, KEEP_BASE],
];

/**
 * Refuses a configuration with a field that changes the maths in a way that LQA cannot express, or with an option that this
 * version does not know: one that is true, a list or an object. Programs write their own settings into the file too
 * (`model_name`, `lora_plus_lr_ratio`): PEFT ignores a field that it does not know, with a warning.
 *
 * @returns the unknown fields that are a text or a number, for a warning
 * @throws LqaError UNSUPPORTED_ADAPTER_FEATURE naming the field
 */
export function checkFields(config: JsonObject): string[] {
  for (const [field, value] of config) {
    if (isKnown(field, value) || isUnknown(field, value)) continue;
    const reason =
      REFUSED.get(field) ?? "an option that this version does not know; it may change the weights";
    const advice = field === "layer_replication" ? `${KEEP_BASE} (${PAGE}).` : undefined;
    refuse(field, value, `no ${quoteName(field)}: ${reason}`, advice);
  }
  checkInit(config);
  return [...config].filter(([field, value]) => isUnknown(field, value)).map(([field]) => field);
}

/** Whether this version does not know a field that it carries nevertheless: a text or a number. */
export function isUnknown(field: string, value: JsonValue): boolean {
  return !isKnown(field, value) && !REFUSED.has(field) && isSetting(value);
}

/** Whether a field cannot change the weights otherwise than this version says. */
function isKnown(field: string, value: JsonValue): boolean {
  return isEmpty(value) || RESOLVED.includes(field) || INFORMATIVE.includes(field);
}

function isSetting(value: JsonValue): boolean {
  return typeof value === "string" || typeof value === "number";
}

function checkInit(config: JsonObject): void {
  const init = config.get("init_lora_weights") ?? null;
  const folded = typeof init === "string" ? init.toLowerCase() : init;
  if (PLAIN_INITS.includes(folded)) return;
  const advice = REWRITING_INITS.find(([pattern]) => typeof init === "string" && pattern.test(init))?.[1];
  refuse(
    "init_lora_weights",
    init,
    advice === undefined
      ? "an initialization that this version knows"
      : "an adapter for the unmodified base: PEFT changes the base weights for this one",
    advice === undefined ? undefined : `${advice} (${PAGE}).`,
  );
}

function refuse(field: string, value: JsonValue, expected: string, advice?: string): never {
  return fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
    where: `adapter_config.json field ${quoteName(field)}`,
    expected,
    actual: describe(value),
    advice,
  });
}

/** True for values that are false in Python: they turn every option of PEFT off. */
function isEmpty(value: JsonValue): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (value instanceof Map) return value.size === 0;
  return value === null || value === false || value === 0 || value === "";
}

/** A value in a few words, for messages. */
export function describe(value: JsonValue | undefined): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof Map) return `an object with ${value.size} fields`;
  return typeof value === "string" ? quoteName(value) : String(value);
}
