/**
 * The meaning of a LoRAQuant variant `i@ρ`: bits of the strong components and the share of the energy that they cover
 * (arXiv 2510.26690; published: 2@0.8, 2@0.9, 3@0.8, 3@0.9).
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";

/**
 * How many components are strong. `text`: the fewest whose squared singular values reach the share ρ. `code`: one
 * fewer, but at least one; the authors' program does this, and their published average bits follow from it.
 */
export type HRule = "code" | "text";

/** A parsed variant. */
export interface Variant {
  /** Bits of the strong components, 1 to 8. */
  readonly bits: number;
  /** ρ, above 0, at most 1. */
  readonly coverage: number;
}

/**
 * Parses `2@0.8`.
 *
 * @throws LqaError USAGE for anything else
 */
export function parseVariant(text: string): Variant {
  const match = /^([1-8])@(\d?\.?\d{1,15})$/.exec(text);
  const coverage = match === null ? 0 : Number(match[2]);
  if (!(coverage > 0 && coverage <= 1)) {
    fail(KIND.USAGE, {
      where: "variant",
      expected: "bits@coverage, 1 to 8 and 0 < coverage <= 1",
      actual: text,
    });
  }
  return { bits: Number(match![1]), coverage };
}

/**
 * Number of strong components.
 *
 * @param energies squared singular values, descending, not all zero. For a module with experts, which share one band
 *   plan, the sum over the experts.
 * @returns 1 to `energies.length`; all of them if rounding keeps every prefix below ρ
 */
export function strongComponents(energies: Float64Array, coverage: number, rule: HRule): number {
  let total = 0;
  for (const energy of energies) total += energy;
  let reached = energies.length;
  let sum = 0;
  for (let i = 0; i < energies.length; i++) {
    sum += energies[i]!;
    if (sum / total >= coverage) {
      reached = i + 1;
      break;
    }
  }
  return rule === "text" ? reached : Math.max(1, reached - 1);
}
