/**
 * The encoder of the trellis codec: the bit string whose decoded weights are nearest (spec clause 8.6).
 *
 * The encoder runs Viterbi's algorithm over the last 8 − k bits. An *engine* carries the best cost of every state and the
 * step that led to it forward; then the encoder follows the decisions back from the best final state. Two engines exist:
 * plain TypeScript (`viterbi-plain.ts`) and a WebAssembly kernel (`kernels/`). Both compute in binary32, in the same order
 * and with the same rule for ties, so they give the same bits, which a test checks. The result minimizes Σ w (x − T)² up to
 * binary32 rounding. A file does not record how the encoder found its bits, so nothing here is normative.
 *
 * Memory is bounded: the encoder runs a vector longer than {@link BLOCK} steps twice, first for the costs at the start of
 * every block, then block by block from the end. The caller chooses groups, scales and tables.
 *
 * @module
 */
import { type TrellisTable, WINDOW_BITS } from "../../../core/format.ts";
import { packCodes, packedBytes } from "../../../floats.ts";
import { BLOCK, decisionBytes, type TrellisShape, type ViterbiEngine } from "./engine.ts";
import { viterbiKernelEngine } from "./kernels/viterbi-kernel.ts";
import { viterbiPlainEngine } from "./plain.ts";

/** Values beyond this are clamped to it: 32 times the largest entry of a table. It bounds the growth of costs. */
export const LARGEST_VALUE = 4096;

/** Largest importance: costs stay finite in binary32. */
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
 * @param values The weights divided by their scales, that is in units of the table; at least one. Beyond ±4096 the encoder
 *   clamps them.
 * @param importance Factor of the squared error of each weight, from 0 to 2^60; 1 if absent. If groups have different
 *   scales, multiply the squares of these in.
 * @throws RangeError for a value that is NaN, or an importance that is out of range or of another number than the values.
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

/** The bit string of a sequence of windows. Overwrites the windows. */
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

/**
 * The best windows of a part of a vector, where the bits before it are known. The engine must have begun, for as many steps.
 *
 * @param values finite, at most {@link LARGEST_VALUE} in magnitude
 * @param from first weight; starts a step
 * @param before the window of the step before, 0 for the first
 * @param windows receives one for each step of the part
 */
export function continueWindows(
  values: Float32Array,
  shape: TrellisShape,
  engine: ViterbiEngine,
  [from, to]: readonly [from: number, to: number],
  before: number,
  windows: Uint8Array,
): void {
  const costs = new Float32Array(1 << (WINDOW_BITS - shape.stepBits)).fill(Number.POSITIVE_INFINITY);
  costs[before >> shape.stepBits] = 0;
  const decisions = engine.forward(costs, values, undefined, from, to);
  follow(decisions, shape.stepBits, indexOfLowest(costs), windows);
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

/** The first index of the lowest cost. */
function indexOfLowest(costs: Float32Array): number {
  let lowest = 0;
  for (let i = 1; i < costs.length; i++) if (costs[i]! < costs[lowest]!) lowest = i;
  return lowest;
}

/** The values, clamped to ±{@link LARGEST_VALUE}; the input itself if that changes nothing. */
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

/** The kernel if the runtime has WebAssembly with SIMD, otherwise the plain engine. */
export function defaultEngine(): ViterbiEngine {
  engine ??= viterbiKernelEngine() ?? viterbiPlainEngine();
  return engine;
}
