/**
 * The start that the modules of a file share, the position of each module in it, and the encodings of mixtures (spec clause
 * 8.8): the parts that a reader of files needs. `draws.ts` makes the draws.
 *
 * @module
 */
import { inputLength, type ModuleShape } from "../../../model/adapter.ts";
import {
  type AffineEncoding,
  type Encoding,
  type Lowered,
  type MixedEncoding,
  NOTHING,
  type ZeroEncoding,
} from "../encoding.ts";
import { lower } from "../registry.ts";

/** Number of the generator MT19937. */
export const MT19937 = 1;

/** The states where streams of draws begin. */
export interface Start {
  /** A seed of MT19937, or states of 624 words each, which precede draw 0 of each stream. */
  readonly state: number | Uint32Array;
  /** Positions of the modules, in any order, if they are known. Draws of all modules then take one pass over the streams. */
  readonly positions?: ArrayLike<number> | undefined;
}

/** The start of a module. */
export interface ModuleStart {
  readonly start: Start;
  /** Number of its first draw, plus 2^22 times that of its state. The draws are contiguous: `[rank][in · kernel]`. */
  readonly position: number;
}

/** Bits of a position that number a draw of a state; the others number the state. */
const STATE_SHIFT = 22;
/** A module begins before this draw of its state. */
export const STATE_DRAWS: number = 2 ** STATE_SHIFT;

/** Words of a state in a file. Not taken from `common/mt19937.ts`, which readers load only for a file with a start. */
export const STATE_LENGTH = 624;

/** Number of states of a start. */
export function stateCount({ state }: Start): number {
  return typeof state === "number" ? 1 : state.length / STATE_LENGTH;
}

/** Operations that a draw counts as, in addition to the products with it. */
const DRAW_OPERATIONS = 8;

/** Operations that decoding a module with a start takes (spec 8.8.1). Exact: below 2^42. */
export function startOperations(
  shape: Pick<ModuleShape, "rank" | "in" | "kernel">,
  bands: readonly { readonly components: number; readonly a: MixedEncoding }[],
): number {
  const mixed = bands.reduce((sum, { components, a }) => sum + (a.mix === undefined ? 0 : components), 0);
  return shape.rank * inputLength(shape) * (mixed + DRAW_OPERATIONS);
}

/** Number of the state that a position is in. */
export function stateOf(position: number): number {
  return position >>> STATE_SHIFT;
}

// Mixtures of draws (spec clause 8.8): each component has a vector R of `rank` weights, stored as `affine` with one scale.

/** The encoding of R without a start: it stores nothing. */
const NONE: ZeroEncoding = { codec: "zero" };
/** Numbers of bits that the integers of a mixture may have. */
export const MIX_BITS: readonly number[] = [4, 8];
/** The encodings of R by their bits. */
const MIXES = new Map<number, AffineEncoding>(
  MIX_BITS.map((bits) => [bits, { codec: "affine", bits, group: 0, scale: "bf16" }]),
);

/** The encoding of the vectors R that belong to vectors of A'. */
export function mixEncoding({ mix }: MixedEncoding): Encoding {
  return mix === undefined ? NONE : MIXES.get(mix)!;
}

/**
 * Replaces the largest integer in the check of a mixture's scale (spec 8.8): the scale times this must be finite. So a mixture of
 * draws is below 2^80, too small to make the largest binary32 number overflow.
 */
const SCALE_BOUND = 2 ** 64;
const LOWERED = new Map<number, Lowered>(
  [...MIXES].map(([bits, encoding]) => [bits, { ...lower(encoding), largest: SCALE_BOUND }]),
);

/** The lowered form of {@link mixEncoding}. */
export function lowerMix({ mix }: MixedEncoding): Lowered {
  return mix === undefined ? NOTHING : LOWERED.get(mix)!;
}
