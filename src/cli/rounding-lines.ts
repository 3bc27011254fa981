/**
 * Lines of `lqa decode` and `lqa convert` about the error of what they wrote.
 *
 * @module
 */
import type { Rounding } from "../node/convert-file.ts";
import { count, percent, printable } from "./format.ts";

/**
 * Share of a module's energy from which rounding is worth a warning. Where no value leaves the range of its type, F16 costs
 * about 1e-7 and BF16 5e-6.
 */
const WARN_ERROR = 1e-3;

/** The error of the encoding, if it is known, and what rounding the factors adds to it. */
export function errorLines(relativeError: number | undefined, rounding: Rounding | undefined): string[] {
  const encoded =
    relativeError === undefined ? [] : [`${percent(relativeError)} of the energy of ΔW lost by encoding`];
  const rounded =
    rounding === undefined
      ? []
      : [
          `rounding to ${rounding.elements.join(" and ")} ${relativeError === undefined ? "loses" : "adds"} ${percent(rounding.relativeError)}`,
        ];
  const parts = [...encoded, ...rounded];
  return parts.length === 0 ? [] : [`  error: ${parts.join("; ")}`];
}

/** Warns if the element type cannot hold what a module needs. */
export function roundingWarning(rounding: Rounding | undefined): string[] {
  if (rounding === undefined || rounding.worst.relativeError < WARN_ERROR) return [];
  const { elements, worst, zeros, weights } = rounding;
  return [
    `  warning: rounding to ${elements.join(" and ")} lost ${percent(worst.relativeError)} of the energy of ${printable(worst.name)};`,
    `           ${count(zeros)} of ${count(weights)} weights became 0. Use --dtype f32 (or bf16) to keep them.`,
  ];
}
