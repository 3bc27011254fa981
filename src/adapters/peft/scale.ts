/**
 * Rank and multiplier of one module, from the configuration (spec clause 9.1).
 *
 * No adapter file stores the number that multiplies ΔW; every loader derives it again, and several got it wrong.
 * This derivation is PEFT's own: `rank_pattern` and `alpha_pattern` first, then alpha / r, or alpha / sqrt(r) with
 * rsLoRA, in binary64, rounded once to binary32, the precision in which PEFT multiplies.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { MultiplierRule } from "../../model/adapter.ts";
import { quoteName } from "../json.ts";
import type { PeftConfig } from "./config.ts";
import { lookUp } from "./pattern.ts";

/** What the configuration says about one module. */
export interface ModuleScale {
  readonly rank: number;
  /** An f32 value. */
  readonly multiplier: number;
  /** An f32 value. */
  readonly alpha: number;
  readonly rule: MultiplierRule;
}

/**
 * Resolves the scale of the module at `path` (inside the base model).
 *
 * PEFT allows an alpha of 0, which gives the multiplier 0: the adapter does nothing. If alpha is not an f32 value and
 * rounding it first would give another multiplier, the rule is `explicit`.
 *
 * @throws LqaError SOURCE_CONFIG if alpha or the multiplier overflows binary32
 */
export function resolveScale(config: PeftConfig, path: string): ModuleScale {
  const rank = lookUp(config.rankPattern, path, config.r);
  const exact = lookUp(config.alphaPattern, path, config.loraAlpha);
  const divisor = config.useRslora ? Math.sqrt(rank) : rank;
  const alpha = Math.fround(exact);
  const multiplier = Math.fround(exact / divisor);
  if (!Number.isFinite(alpha) || !Number.isFinite(multiplier)) {
    fail(KIND.SOURCE_CONFIG, {
      where: `the alpha of module ${quoteName(path)}`,
      expected: "a number that binary32 can hold",
      actual: exact,
    });
  }
  const follows = Math.fround(alpha / divisor) === multiplier;
  const rule = follows ? (config.useRslora ? "alpha/sqrt(r)" : "alpha/r") : "explicit";
  return { rank, multiplier, alpha, rule };
}
