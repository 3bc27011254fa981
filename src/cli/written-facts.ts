/**
 * What `lqa decode`, `lqa convert` and `lqa push` print about their output: the files, and the error.
 *
 * @module
 */
import { type ConfigRisk, riskSentence } from "../adapters/config-risks.ts";
import type { Rounding } from "../node/convert-file.ts";
import { count, percent, printable, size } from "./format.ts";
import { type Fact, note, type Paper } from "./layout.ts";

/**
 * Share of a module's energy above which the loss by rounding is worth a warning. If no value leaves the range of its type,
 * F16 costs about 1e-7, BF16 5e-6 and F8_E4M3 1.4e-3.
 */
const WARN_ERROR = 1e-3;
const WARN_ERROR_EIGHT_BITS = 1e-2;

/** The written files with their sizes, as facts. */
export function fileFacts(written: Iterable<readonly [name: string, bytes: number]>): Fact[] {
  return [...written].map(([name, bytes], i) => [
    i === 0 ? "files" : "",
    `${printable(name)}, ${size(bytes)}`,
  ]);
}

/** The error of the encoding, if known, and what rounding the factors adds to it. */
export function errorFact(relativeError: number | undefined, rounding: Rounding | undefined): Fact {
  const encoded =
    relativeError === undefined ? [] : [`${percent(relativeError)} of the energy of ΔW lost by encoding`];
  const rounded =
    rounding === undefined
      ? []
      : [
          `rounding to ${rounding.elements.join(" and ")} ${relativeError === undefined ? "loses" : "adds"} ${percent(rounding.relativeError)}`,
        ];
  const parts = [...encoded, ...rounded];
  return ["error", parts.length === 0 ? undefined : parts.join("; ")];
}

/** Warns of the fields of a configuration that are a risk. @param kept whether they are written nevertheless */
export function riskWarnings(risks: readonly ConfigRisk[], kept: boolean, paper: Paper): string[] {
  return risks.flatMap((risk) => note("warning", printable(riskSentence(risk, kept)), paper));
}

/** Warns if the element type cannot hold the values of a module. */
export function roundingWarning(rounding: Rounding | undefined, paper: Paper): string[] {
  if (rounding === undefined) return [];
  const most = rounding.elements.includes("F8_E4M3") ? WARN_ERROR_EIGHT_BITS : WARN_ERROR;
  if (rounding.worst.relativeError < most) return [];
  const { elements, worst, zeros, weights } = rounding;
  return note(
    "warning",
    `rounding to ${elements.join(" and ")} lost ${percent(worst.relativeError)} of the energy of ${printable(worst.name)}; ${count(zeros)} of ${count(weights)} weights became 0. Use --dtype f32 (or bf16) to keep them.`,
    paper,
  );
}
