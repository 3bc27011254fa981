/**
 * The start that the modules of a file share, and where in it each of them begins (spec clause 8.8).
 *
 * @module
 */

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
