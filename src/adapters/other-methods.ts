/**
 * Methods that are not LoRA, known by the names of their tensors, so that a refusal can say which it is.
 *
 * @module
 */

const METHODS: readonly (readonly [RegExp, string])[] = [
  [/(^|\.)lokr_(w1|w2|t2|w1_a|w1_b|w2_a|w2_b)\b/, "LoKr (Kronecker products)"],
  [/(^|\.)hada_(w1_a|w1_b|w2_a|w2_b|t1|t2)\b/, "LoHa (Hadamard products)"],
  [/(^|\.)lora_mid\.weight$/, "LoCon with a Tucker core (lora_mid)"],
  [/(^|\.)b?oft_(blocks|diag|[RS])\b/, "OFT or BOFT (rotations of the weights)"],
  [/(^|\.)(ia3_l|on_input$)/, "IA³ (rescaled activations)"],
  [/\.(diff|diff_b|diff_m|w_norm|b_norm)$/, "whole differences of weights (LyCORIS full or norm)"],
  [/\.(a1|a2|b1|b2|bm)\.weight$/, "GLoRA"],
  [/\.(lora_E|ranknum)$|\.lora_E\./, "AdaLoRA (a diagonal between the factors)"],
  [/(^|\.)vera_lambda_/, "VeRA (shared random factors)"],
  [/\.(reshape_weight|set_weight)$/, "weights that replace or reshape the base model's"],
  [/\.(scalar|rescale)$/, "LyCORIS's trained scalar"],
];

/** The method that a key belongs to; undefined if it is none of those known. */
export function otherMethod(key: string): string | undefined {
  return METHODS.find(([pattern]) => pattern.test(key))?.[1];
}
