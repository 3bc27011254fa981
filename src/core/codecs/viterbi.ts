/**
 * The encoder of the trellis codec: the bit string whose decoded weights are nearest (spec clause 8.6).
 *
 * Viterbi's algorithm over the last 8 − k bits. The best cost of every state and the step that led to it are carried
 * forward by an *engine*; then the decisions are followed back from the best final state. Two engines exist: plain
 * TypeScript (`viterbi-plain.ts`) and a WebAssembly kernel (`kernels/`). Both compute in binary32, in one order and
 * with one rule for ties, so they give the same bits, which a test checks. What an engine gives is the minimum of
 * Σ w (x − T)² up to binary32 rounding; a file does not say how its bits were found, so nothing here is normative.
 *
 * Memory is bounded: a vector longer than {@link BLOCK} steps is run twice, first for the costs at the start of every
 * block, then block by block from the end. Which groups, scales and tables to use is the caller's choice.
 *
 * @module
 */
import { packCodes, packedBytes } from "./floats.ts";
import { kernelEngine } from "./kernels/viterbi-kernel.ts";
import { type TrellisTable, WINDOW_BITS } from "./trellis.ts";
import { BLOCK, decisionBytes, type TrellisShape, type ViterbiEngine } from "./viterbi-engine.ts";
import { plainEngine } from "./viterbi-plain.ts";

/** Values beyond this are cut to it: 32 times what a table reaches, so that no cost leaves binary32's exact range. */
export const LARGEST_VALUE = 4096;

/** Importance weights may be this large: their costs stay finite in binary32. */
export const LARGEST_IMPORTANCE: number = 2 ** 60;

/** A coded vector. */
export interface TrellisCodes {
  /** The bit string, ready for a plane of codes. */
  readonly bits: Uint8Array;
  /** The integers the weights decode to, before the scale. */
  readonly values: Int8Array;
  /** Σ importance · (value − integer)², in double precision. */
  readonly cost: number;
}

/**
 * Finds the bit string of a vector.
 *
 * @param values The weights divided by their scales, so in units of the table; at least one. Beyond ±4096 they count as that.
 * @param importance What a squared error of each weight counts, from 0 to 2^60; all alike if absent. Where groups have
 *   different scales, their squares belong in here.
 * @throws RangeError for a value or an importance that is not a number or out of range.
 */
export function encodeTrellis(
  values: Float32Array,
  table: TrellisTable,
  importance?: Float32Array,
  engine: ViterbiEngine = defaultEngine(),
): TrellisCodes {
  const { weightsPerStep, entries } = table;
  const windows = findWindows(values, table, importance, engine);
  const integers = new Int8Array(values.length);
  let cost = 0;
  for (let i = 0; i < values.length; i++) {
    const integer =
      entries[windows[Math.floor(i / weightsPerStep)]! * weightsPerStep + (i % weightsPerStep)]!;
    integers[i] = integer;
    const difference = values[i]! - integer;
    cost += (importance === undefined ? 1 : importance[i]!) * difference * difference;
  }
  return { bits: packWindows(windows, table), values: integers, cost };
}

/** The bit string of a sequence of windows. The windows are used up. */
export function packWindows(windows: Uint8Array, { stepBits }: TrellisShape): Uint8Array {
  // The newest bits of a window are its highest.
  for (let j = 0; j < windows.length; j++) windows[j]! >>= WINDOW_BITS - stepBits;
  const bits = new Uint8Array(packedBytes(windows.length, stepBits));
  packCodes(windows, 0, windows.length, stepBits, bits, 0);
  return bits;
}

/**
 * The best sequence of windows, one for each step.
 *
 * @throws RangeError as {@link encodeTrellis}.
 */
export function findWindows(
  values: Float32Array,
  shape: TrellisShape,
  importance: Float32Array | undefined,
  engine: ViterbiEngine,
): Uint8Array {
  const bounded = bound(values, importance);
  const { stepBits, weightsPerStep } = shape;
  const states = 1 << (WINDOW_BITS - stepBits);
  const steps = Math.ceil(values.length / weightsPerStep);
  const blocks = Math.ceil(steps / BLOCK);
  engine.begin(shape, Math.min(steps, BLOCK));
  const run = (block: number): Uint8Array => {
    const from = block * BLOCK * weightsPerStep;
    const to = Math.min(from + BLOCK * weightsPerStep, values.length);
    return engine.forward(costs, bounded, importance, from, to);
  };
  // Before the first step all bits are 0.
  const costs = new Float32Array(states).fill(Number.POSITIVE_INFINITY);
  costs[0] = 0;
  const starts: Float32Array[] = [];
  let decisions: Uint8Array = new Uint8Array(0);
  for (let block = 0; block < blocks; block++) {
    starts.push(costs.slice());
    decisions = run(block);
  }
  let state = indexOfLowest(costs);
  const windows = new Uint8Array(steps);
  for (let block = blocks - 1; block >= 0; block--) {
    if (block < blocks - 1) {
      costs.set(starts[block]!);
      decisions = run(block);
    }
    const first = block * BLOCK;
    state = follow(decisions, stepBits, state, windows.subarray(first, Math.min(first + BLOCK, steps)));
  }
  return windows;
}

/** Follows decisions back from `state` and writes the windows on the way. Returns the state before the first step. */
function follow(decisions: Uint8Array, stepBits: number, state: number, windows: Uint8Array): number {
  const mask = (1 << (WINDOW_BITS - stepBits)) - 1;
  const bytes = decisionBytes(stepBits);
  for (let j = windows.length - 1, row = j * bytes; j >= 0; j--, row -= bytes) {
    let low: number;
    if (stepBits === 1) low = (decisions[row + (state >> 3)]! >> (state & 7)) & 1;
    else if (stepBits === 2) {
      const four = decisions[row + (state >> 2)]! >> (state & 3);
      low = (four & 1) | ((four >> 3) & 2);
    } else low = decisions[row + state]!;
    const window = (state << stepBits) | low;
    windows[j] = window;
    state = window & mask;
  }
  return state;
}

/** The first of the lowest. */
function indexOfLowest(costs: Float32Array): number {
  let lowest = 0;
  for (let i = 1; i < costs.length; i++) if (costs[i]! < costs[lowest]!) lowest = i;
  return lowest;
}

/** The values cut to the range the engines can count in; the input itself if nothing had to be cut. */
function bound(values: Float32Array, importance: Float32Array | undefined): Float32Array {
  if (importance !== undefined) {
    if (importance.length !== values.length)
      throw new RangeError(`expected ${values.length} importance weights, found ${importance.length}`);
    for (const [i, weight] of importance.entries())
      if (!(weight >= 0 && weight <= LARGEST_IMPORTANCE))
        throw new RangeError(`importance ${i} is ${weight}, not between 0 and 2^60`);
  }
  let result = values;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value >= -LARGEST_VALUE && value <= LARGEST_VALUE) continue;
    if (Number.isNaN(value)) throw new RangeError(`value ${i} is NaN`);
    if (result === values) result = values.slice();
    result[i] = Math.sign(value) * LARGEST_VALUE;
  }
  return result;
}

let engine: ViterbiEngine | undefined;

/** The kernel where WebAssembly with SIMD exists, otherwise the plain engine. */
export function defaultEngine(): ViterbiEngine {
  engine ??= kernelEngine() ?? plainEngine();
  return engine;
}
