/**
 * The contract of engines for the Viterbi search (see `viterbi.ts`), which makes two engines give the same bytes.
 *
 * @module
 */
import { WINDOW_BITS } from "../../../core/format.ts";

/** The parts of a table that the search needs. Training uses entries that are not integers yet. */
export interface TrellisShape {
  readonly stepBits: number;
  readonly weightsPerStep: number;
  /** 256 · weightsPerStep numbers of at most 4096 in magnitude, exact in binary32. */
  readonly entries: ArrayLike<number>;
}

/**
 * Carries the costs of all states through steps of a vector.
 *
 * A state is the last 8 − k bits; σ goes to `window >> k` by the window `bits << (8 − k) | σ`. The cost of a window is
 * the state's cost plus d·d, d = x − T, of its weights in order (each times its importance, if given), with every operation
 * rounded to binary32. Of the 2^k windows that lead to a state the engine takes the cheapest, and among equals the lowest.
 * After every {@link RENORMALIZE}-th step of a call it subtracts the lowest cost from all.
 */
export interface ViterbiEngine {
  /** Loads a table, which must not change afterwards, and makes room for calls of up to `steps` steps. */
  begin(shape: TrellisShape, steps: number): void;
  /**
   * Runs the steps whose weights are `values[from]` … `values[to − 1]`; the last step may have fewer weights. Reads and
   * overwrites `costs`, 2^(8 − k) numbers.
   *
   * @returns The decisions, valid until the next call: the low k bits of the window that was best for each state. For
   *   k ≥ 3 one byte for each state of each step. For k = 1 one bit, for k = 2 each byte holds the low bits of four
   *   states in its lower half and the high bits in its upper half: 16 bytes a step.
   */
  forward(
    costs: Float32Array,
    values: Float32Array,
    importance: Float32Array | undefined,
    from: number,
    to: number,
  ): Uint8Array;
}

/** Steps between subtractions of the lowest cost. With one weight a step, values of 2^12 and no importance, 32 steps add 2^29. */
export const RENORMALIZE = 32;

/** Steps whose decisions are in memory at a time: 2 MiB at most. A multiple of {@link RENORMALIZE}. */
export const BLOCK: number = 1 << 16;

/** Bytes of the decisions of one step. */
export function decisionBytes(stepBits: number): number {
  return stepBits <= 2 ? 16 : 1 << (WINDOW_BITS - stepBits);
}
