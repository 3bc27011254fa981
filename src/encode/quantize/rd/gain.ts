/**
 * The gain of a quantized module, ⟨ΔW, ΔŴ⟩ / ‖ΔW‖², brought back to 1.
 *
 * Codes of least squared error are shorter than what they stand for: a component coded with distortion D keeps 1 − D of
 * its length, a dropped one nothing, so that ΔŴ is a weakened ΔW plus an error that is orthogonal to it. Behaviour
 * minds the first much more than the second (docs/fidelity.md): for the same bytes, ΔŴ divided by its gain has a
 * little more squared error, D / (1 − D), and a fraction of the divergence.
 *
 * All scales of B' are multiplied, which changes no code. A gain that the scales' storage type can hardly express is
 * left as it is, and so are raw weights, whose gain is 1.
 *
 * @module
 */

import { type Encoding, FLOAT_BYTES, type Planes } from "../../../core/codecs/encoding.ts";
import { bitsToNumber, numberToBits, readBits, writeBits } from "../../../core/codecs/floats.ts";
import type { PackedFactors } from "../../../core/codecs/packed.ts";
import { lower } from "../../../core/codecs/registry.ts";
import type { Choice } from "./allocate.ts";
import type { Subject } from "./subject.ts";

/** Below this the gain is left: bf16 scales are 2^-8 to 2^-7 apart. */
const LEAST_CORRECTION = 2 ** -8;
/** No module is stretched by more: one of which so little is left is noise. */
const MOST_CORRECTION = 2;

/** The gain of a module at rates that its vectors have been coded at; each was fitted by least squares. */
function gainOf({ components }: Subject, choices: readonly Choice[]): number {
  let energy = 0;
  let kept = 0;
  for (const [i, component] of components.entries()) {
    const { b, a } = choices[i]!;
    const share = (1 - component.b.coded.get(b)!.distortion) * (1 - component.a.coded.get(a)!.distortion);
    energy += component.energy;
    kept += component.energy * share;
  }
  return kept > 0 ? kept / energy : 1;
}

/** The module with a gain of 1. */
export function restoreGain(
  subject: Subject,
  choices: readonly Choice[],
  packed: PackedFactors,
): PackedFactors {
  const factor = Math.min(1 / gainOf(subject, choices), MOST_CORRECTION);
  if (factor - 1 < LEAST_CORRECTION) return packed;
  const { bands } = packed;
  return {
    bands,
    planes: packed.planes.map((expert) =>
      expert.map(({ b, a }, i) => ({ b: { ...b, scales: timesScales(bands[i]!.b, b, factor) }, a })),
    ),
  };
}

function timesScales(encoding: Encoding, { scales }: Planes, factor: number): Uint8Array {
  const { scale: type, table, largest: own } = lower(encoding);
  if (type === undefined) return scales;
  // Codes of any width are bounded alike.
  const largest = table === undefined ? 255 : own;
  const stretched = scales.slice();
  for (let i = 0; i < scales.length / FLOAT_BYTES[type]; i++) {
    const pattern = numberToBits(bitsToNumber(readBits(scales, type, i), type) * factor, type);
    // At the end of the type's range a scale stays what it is.
    if (Number.isFinite(Math.fround(bitsToNumber(pattern, type) * largest)))
      writeBits(stretched, type, i, pattern);
  }
  return stretched;
}
