/**
 * Counts how often each code of an encoding occurs. An even or Gaussian histogram means that the encoder chose the codes well;
 * many codes at both ends mean clipped weights.
 *
 * @module
 */

import { type Lowered, lower, sizesOf, trellisSteps, WINDOW_BITS } from "../core/format.ts";
import { type Encoding, encodingLabel, type PackedFactors } from "../core/index.ts";
import { packedBytes, unpackCodes } from "../floats.ts";

import { inputLength, type ModuleShape } from "../model/adapter.ts";

/** The codes of one encoding, over a whole file. */
export interface CodeCounts {
  /** Label from {@link encodingLabel}. */
  readonly encoding: string;
  readonly kind: "codes" | "signs" | "windows";
  /**
   * Counts: of `codes` from 0 on; of `signs` minus and plus; of `windows` the integers of the table from −128 on, eight per
   * bar.
   */
  readonly counts: number[];
  /** Number of components with this encoding; B' and A' count separately. */
  components: number;
}

/** Table integers that share a bar. */
const STEP = 8;

/** Adds the codes of a module to the counts, by encoding. */
export function countCodes(
  shape: ModuleShape,
  { bands, planes }: PackedFactors,
  counts: Map<string, CodeCounts>,
): void {
  const lengths = { b: shape.out, a: inputLength(shape) };
  for (const expert of planes)
    bands.forEach((band, i) => {
      for (const factor of ["b", "a"] as const) {
        const lowered = lower(band[factor]);
        const entry = entryOf(band[factor], lowered, counts);
        if (entry === undefined) continue;
        entry.components += band.components;
        countPlane(lowered, expert[i]![factor].codes, lengths[factor], band.components, entry.counts);
      }
    });
}

function entryOf(
  encoding: Encoding,
  { kind, bits }: Lowered,
  counts: Map<string, CodeCounts>,
): CodeCounts | undefined {
  if (kind === "nothing" || kind === "floats") return undefined;
  const label = encodingLabel(encoding);
  let entry = counts.get(label);
  if (entry === undefined) {
    const bars = kind === "windows" ? 256 / STEP : 2 ** bits;
    entry = { encoding: label, kind, counts: new Array<number>(bars).fill(0), components: 0 };
    counts.set(label, entry);
  }
  return entry;
}

function countPlane(
  lowered: Lowered,
  packed: Uint8Array,
  length: number,
  components: number,
  counts: number[],
): void {
  const { kind, bits } = lowered;
  if (kind === "windows") {
    countWindows(lowered, packed, length, components, counts);
    return;
  }
  const codes = new Uint8Array(length);
  for (let c = 0; c < components; c++) {
    unpackCodes(packed, c * packedBytes(length, bits), length, bits, codes, 0);
    // A sign bit of 1 is a minus (spec 8.5), drawn on the left.
    if (kind === "signs") for (const code of codes) counts[1 - code]!++;
    else for (const code of codes) counts[code]!++;
  }
}

/** The integers that the windows represent, before any rotation. */
function countWindows(
  lowered: Lowered,
  packed: Uint8Array,
  length: number,
  components: number,
  counts: number[],
): void {
  const table = lowered.table!;
  const { stepBits, weightsPerStep, entries } = table;
  const steps = trellisSteps(table, length);
  const row = sizesOf(lowered, 1, length).codes;
  const codes = new Uint8Array(steps);
  for (let c = 0; c < components; c++) {
    unpackCodes(packed, c * row, steps, stepBits, codes, 0);
    let window = 0;
    for (let i = 0, weight = 0; i < steps; i++) {
      window = (window >> stepBits) | (codes[i]! << (WINDOW_BITS - stepBits));
      for (let v = 0; v < weightsPerStep && weight < length; v++, weight++)
        counts[(entries[window * weightsPerStep + v]! + 128) >> 3]!++;
    }
  }
}
