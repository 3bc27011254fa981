/**
 * The start that the modules of a file share, where in it each of them begins, and how its draws are mixed (spec clause 8.8): what
 * reading a file needs of it. Draws are made in `draws.ts`.
 *
 * @module
 */
import {
  type AffineEncoding,
  type Encoding,
  type Lowered,
  type MixedEncoding,
  NOTHING,
  type ZeroEncoding,
} from "../encoding.ts";
import { lower } from "../registry.ts";

/** Words of a state of MT19937. */
export const STATE_WORDS = 624;

/** Where streams of draws begin. */
export interface Start {
  /** A seed of MT19937, or states: 624 words before draw 0 of each. */
  readonly state: number | Uint32Array;
}

/** The start of a module. */
export interface ModuleStart {
  readonly start: Start;
  /** Number of its first draw, plus 2^22 times the number of its state. Its draws follow each other, `[experts][rank][in · kernel]`. */
  readonly position: number;
}

/** Bits of a position that count the draws of a state; the others are the number of the state. */
const STATE_SHIFT = 22;
/** Draws before a module, in its state, are less than this. */
export const STATE_DRAWS: number = 2 ** STATE_SHIFT;

/** States of a start. */
export function stateCount({ state }: Start): number {
  return typeof state === "number" ? 1 : state.length / STATE_WORDS;
}

/** Number of the state that a position is in. */
export function stateOf(position: number): number {
  return position >>> STATE_SHIFT;
}

// How draws are mixed (spec clause 8.8): R, a vector of `rank` weights for each component, stored like any other, as `affine` with
// one scale.

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
