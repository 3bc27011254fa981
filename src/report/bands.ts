/**
 * Bands and encodings in a few characters: `3×affine2 5×sign`.
 *
 * The library's label of an encoding (`affine2 g128 f16`) is shortened by what nearly every file has: f16 scales and
 * groups of 128, or bf16 scales of whole vectors for trellis codes. Where B' and A' differ both are shown, B' first: `2×(affine3 affine2)`.
 *
 * @module
 */
import { type Encoding, encodingLabel } from "../core/codecs/encoding.ts";

/** A band with its encodings, or with their labels. */
export interface BandLike {
  readonly components: number;
  readonly b: Encoding | string;
  readonly a: Encoding | string;
}

/** One encoding, e.g. `affine2`, `sign/g64`, `raw/f16`. */
export function encodingText(encoding: Encoding | string): string {
  const label = typeof encoding === "string" ? encoding : encodingLabel(encoding);
  const words = label.split(" ");
  // What nearly every encoding of its codec has is not said.
  const usual = words[0]!.startsWith("trellis") ? ["whole", "bf16"] : ["g128", "f16"];
  const shown = words[0] === "raw" ? words : words.filter((word) => !usual.includes(word));
  return shown.join("/");
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
