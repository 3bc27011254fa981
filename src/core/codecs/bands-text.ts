/**
 * Formats bands and encodings in a few characters: `3×affine2 5×sign`.
 *
 * The text is the library's label of an encoding (`affine2 g128 f16`) without the usual settings: f16 scales and groups of
 * 128, or bf16 scales of whole vectors for trellis codes. If B' and A' differ, it has both, B' first: `2×(affine3 affine2)`.
 *
 * @module
 */

import type { Encoding } from "./encoding.ts";
import { codecLabelled, encodingLabel } from "./registry.ts";

/** A band with its encodings, or with their labels. */
export interface BandLike {
  readonly components: number;
  readonly b: Encoding | string;
  readonly a: Encoding | string;
}

/** One encoding, e.g. `affine2`, `sign/g64`, `raw/f16`. */
export function encodingText(encoding: Encoding | string): string {
  const label = typeof encoding === "string" ? encoding : encodingLabel(encoding);
  const [name, ...words] = label.split(" ");
  const usual = words.length < 2 ? [] : (codecLabelled(label)?.usual ?? ["g128", "f16"]);
  return [name, ...words.filter((word) => !usual.includes(word))].join("/");
}

/** One band, e.g. `3×affine2`. */
export function bandText(band: BandLike): string {
  const b = encodingText(band.b);
  const a = encodingText(band.a);
  return `${band.components}×${a === b ? a : `(${b} ${a})`}`;
}

/** A band plan, e.g. `3×affine2 5×sign`. */
export function bandsText(bands: readonly BandLike[]): string {
  return bands.map(bandText).join(" ");
}
