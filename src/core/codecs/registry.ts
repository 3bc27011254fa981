/**
 * The registry of codecs, and the functions that work on encodings of any codec.
 *
 * @module
 */
import { AFFINE } from "./affine.ts";
import type { Codec } from "./codec.ts";
import { type Encoding, type Lowered, type PlaneSizes, sizesOf } from "./encoding.ts";
import { RAW } from "./raw.ts";
import { SIGN } from "./sign.ts";
import { TRELLIS } from "./trellis.ts";
import { ZERO } from "./zero.ts";

/** The codecs of the specification, by number. */
const ASSIGNED: readonly Codec[] = [ZERO, RAW, AFFINE, SIGN, TRELLIS];

/** Codecs by name and by number, registered ones included. */
const codecs = new Map<string | number, Codec>(
  ASSIGNED.flatMap((codec) => [
    [codec.name, codec],
    [codec.number, codec],
  ]),
);
/** Required feature bits of registered codecs, as a mask. */
let trials = 0;

/** Names of the codecs of the specification, by number. */
export const CODEC_NAMES: readonly string[] = ASSIGNED.map(({ name }) => name);

/** The codec of an encoding. */
export function codecOf({ codec }: Pick<Encoding, "codec">): Codec {
  return codecs.get(codec)!;
}

/** The codec with a number; undefined if there is none. */
export function codecNumbered(number: number): Codec | undefined {
  return codecs.get(number);
}

/** The codec of a label from {@link encodingLabel}. */
export function codecLabelled(label: string): Codec | undefined {
  return [...codecs.values()].find(({ name }) => label.startsWith(name));
}

/** The required feature bits of registered codecs, as a mask. */
export function trialFeatures(): number {
  return trials;
}

/**
 * Registers a codec that is not assigned, for a trial in this thread (spec/registries.md). Internal: a reader takes part only
 * if its caller names the trial, and no released program writes such files.
 *
 * @param codec has a number from 192 to 254 and a required feature bit from 24 to 31
 * @returns a function that ends the trial
 * @throws TypeError for another number or bit, and for a name or number that is registered already
 */
export function registerCodec<E extends { readonly codec: string }>(codec: Codec<E>): () => void {
  const { name, number, feature = 0 } = codec;
  if (codecs.has(name) || codecs.has(number))
    throw new TypeError(`codec ${name} (${number}) is registered already`);
  if (number < 192 || number > 254 || feature < 24 || feature > 31)
    throw new TypeError("expected a number from 192 to 254 and a feature bit from 24 to 31");
  const added = codec as unknown as Codec;
  codecs.set(name, added).set(number, added);
  trials |= 1 << feature;
  return () => {
    codecs.delete(name);
    codecs.delete(number);
    trials &= ~(1 << feature);
  };
}

/** The lowered form of an encoding. @throws LqaError UNSUPPORTED_CODEC for a trellis table that this version does not know */
export function lower(encoding: Encoding): Lowered {
  let lowered = known.get(encoding);
  if (lowered === undefined) known.set(encoding, (lowered = codecOf(encoding).lower(encoding)));
  return lowered;
}

/**
 * Cache of lowered encodings: readers need the same one several times for each plane, and a file has one object per encoding.
 */
const known = new WeakMap<Encoding, Lowered>();

/** Byte lengths of the planes of `components` vectors of `length` weights (spec 7.2). @throws as {@link lower} */
export function planeSizes(encoding: Encoding, components: number, length: number): PlaneSizes {
  return sizesOf(lower(encoding), components, length);
}

/**
 * A short label for reports: codec; float type, bits of a code, or bits per weight of a table; `r` for a rotation; group and
 * scale; bits of the mixture of a start. It omits parts that the encoding does not have. Examples: `zero`, `raw f32`,
 * `sign g128 f16`, `affine2 g128 f16`, `trellis1.5r whole bf16`, `zero start4`.
 */
export function encodingLabel(encoding: Encoding): string {
  const { kind, element, bits, weights, rotated, group, scale } = lower(encoding);
  let label: string = encoding.codec;
  if (element !== undefined) label += ` ${element}`;
  else if (kind === "codes" || kind === "windows") label += bits / weights;
  if (rotated) label += "r";
  if (scale !== undefined) label += ` ${group === 0 ? "whole" : `g${group}`} ${scale}`;
  return encoding.mix === undefined ? label : `${label} start${encoding.mix}`;
}
