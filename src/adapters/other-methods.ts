/**
 * Methods other than LoRA: the names of their tensors and their `peft_type`, so that a refusal can name the method.
 *
 * @module
 */

import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";

interface Method {
  readonly name: string;
  /** Matches the names of its tensors. */
  readonly key?: RegExp;
  /** Its `peft_type`. */
  readonly peft?: string;
  /** Its tensors change the meaning of the factors of their module instead of adding a change of their own. */
  readonly inFactors?: true;
  /** PEFT converts it to LoRA. */
  readonly converted?: true;
}

const METHODS: readonly Method[] = [
  {
    name: "LoKr (Kronecker products)",
    key: /(^|\.)lokr_(w1|w2|t2|w1_a|w1_b|w2_a|w2_b)\b/,
    peft: "LOKR",
    converted: true,
  },
  {
    name: "LoHa (Hadamard products)",
    key: /(^|\.)hada_(w1_a|w1_b|w2_a|w2_b|t1|t2)\b/,
    peft: "LOHA",
    converted: true,
  },
  { name: "LoCon with a Tucker core (lora_mid)", key: /(^|\.)lora_mid\.weight$/, inFactors: true },
  { name: "OFT or BOFT (rotations of the weights)", key: /(^|\.)b?oft_(blocks|diag|[RS])\b/, peft: "OFT" },
  { name: "BOFT (rotations of the weights)", peft: "BOFT" },
  { name: "HRA (reflections of the weights)", peft: "HRA" },
  { name: "IA³ (rescaled activations)", key: /(^|\.)(ia3_l|on_input$)/, peft: "IA3" },
  {
    name: "whole differences of weights (LyCORIS full or norm)",
    key: /\.(diff|diff_b|diff_m|w_norm|b_norm)$/,
  },
  { name: "GLoRA", key: /\.(a1|a2|b1|b2|bm)\.weight$/ },
  {
    name: "AdaLoRA (a diagonal between the factors)",
    key: /\.(lora_E|ranknum)$|\.lora_E\./,
    peft: "ADALORA",
    inFactors: true,
  },
  { name: "VeRA (shared random factors)", key: /(^|\.)vera_lambda_/, peft: "VERA" },
  {
    name: "prompt tuning (trained tokens before the input)",
    key: /^prompt_embeddings$/,
    peft: "PROMPT_TUNING",
  },
  { name: "prefix tuning (trained keys and values)", peft: "PREFIX_TUNING" },
  { name: "P-tuning (trained tokens before the input)", peft: "P_TUNING" },
  { name: "LN tuning (trained layer norms)", peft: "LN_TUNING" },
  {
    name: "weights that replace or reshape the base model's",
    key: /\.(reshape_weight|set_weight)$/,
    inFactors: true,
  },
  { name: "LyCORIS's trained scalar", key: /\.(scalar|rescale)$/, inFactors: true },
];

/** What a key says that belongs to another method. */
export interface OtherMethod {
  readonly name: string;
  /** The key without the method's part: the layer. */
  readonly path: string;
  /** The tensor changes the meaning of its module's factors: without it their product is wrong. */
  readonly inFactors: boolean;
}

/** The method that a key belongs to; undefined if no known method matches. */
export function otherMethod(key: string): OtherMethod | undefined {
  for (const { name, key: pattern, inFactors = false } of METHODS) {
    const found = pattern?.exec(key);
    if (found != null) return { name, path: key.slice(0, found.index), inFactors };
  }
  return undefined;
}

/**
 * Refuses an adapter of another method.
 *
 * @param type its `peft_type`
 * @throws LqaError UNSUPPORTED_ADAPTER_FEATURE
 */
export function refusePeftType(type: string): never {
  const method =
    METHODS.find(({ peft }) => peft === type)?.name ?? `PEFT's method ${JSON.stringify(type.slice(0, 40))}`;
  return refuseMethod(method, 'adapter_config.json field "peft_type"');
}

/** Refuses an adapter that has no LoRA factors. @throws LqaError UNSUPPORTED_ADAPTER_FEATURE */
export function refuseMethod(method: string, where: string): never {
  const converted = METHODS.some((one) => one.name === method && one.converted);
  return fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
    summary: `This adapter is not LoRA but ${method}.`,
    where,
    advice: converted
      ? 'If PEFT 0.19 or later loads it, convert it with peft.save_as_lora("my-lora", model, rank=32), and encode the directory my-lora.'
      : "Keep this adapter in its source format. Or merge it into its base model with the program that made it, and make a LoRA adapter of the change: mergekit-extract-lora --model <merged> --base-model <base> --out-path <adapter>.",
  });
}
