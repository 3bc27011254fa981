/**
 * How draws are mixed (spec clause 8.8): R, a vector of `rank` weights for each component, stored like any other, as `affine` with
 * one scale.
 *
 * @module
 */
import type { AffineEncoding, Encoding, MixedEncoding, ZeroEncoding } from "../encoding.ts";
import { type Lowered, NOTHING } from "../lowered.ts";
import { lower } from "../registry.ts";

/** No start: nothing is stored. */
const NONE: ZeroEncoding = { codec: "zero" };
/** The encodings of R, by their bits. */
const MIXES: readonly AffineEncoding[] = Array.from({ length: 9 }, (_, bits) => ({
  codec: "affine",
  bits,
  group: 0,
  scale: "bf16",
}));

/** The encoding of the vectors R that go with vectors of A'. */
export function mixEncoding({ mix }: MixedEncoding): Encoding {
  return mix === undefined ? NONE : MIXES[mix]!;
}

/**
 * What bounds the scale of a mixture in the place of integers (spec 8.8): a scale is so small that a mixture of all draws of any
 * module cannot carry the largest binary32 number beyond itself.
 */
const SCALE_BOUND = 2 ** 64;
const LOWERED: readonly Lowered[] = MIXES.map((encoding) => ({ ...lower(encoding), largest: SCALE_BOUND }));

/** What {@link mixEncoding} comes down to. */
export function lowerMix({ mix }: MixedEncoding): Lowered {
  return mix === undefined ? NOTHING : LOWERED[mix]!;
}
