/**
 * The scale that the caller states, for dialects that keep it outside their files.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { scaleByAlpha } from "./alpha.ts";
import type { ReadSettings } from "./dialect.ts";
import type { Scale } from "./state-dict/convention.ts";

/** The scale from `alpha` or `multiplier`; undefined if neither is set. @throws LqaError USAGE if both are or f32 overflows */
export function givenScale({ alpha, multiplier }: ReadSettings, rank: number): Scale | undefined {
  const given = alpha ?? multiplier;
  if (given === undefined) return undefined;
  if (alpha !== undefined && multiplier !== undefined) {
    fail(KIND.USAGE, { where: "alpha and multiplier", expected: "one of them", actual: "both" });
  }
  if (!Number.isFinite(Math.fround(given))) {
    fail(KIND.USAGE, {
      where: "alpha or multiplier",
      expected: "a number that binary32 can hold",
      actual: given,
    });
  }
  if (alpha !== undefined) return scaleByAlpha(alpha, rank);
  return { multiplier: Math.fround(given) + 0, alpha: 0, rule: "explicit" };
}
