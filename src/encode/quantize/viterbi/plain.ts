/**
 * The Viterbi engine in plain TypeScript: the reference for the kernel, and the fallback if the kernel cannot run.
 *
 * `Math.fround` after every operation makes it an operation in binary32. The engine takes 1.5 to 3 µs per weight in Node 20,
 * 25 to 50 times as long as the kernel; unpredictable branches are a third of that.
 *
 * @module
 */
import { WINDOW_BITS } from "../../../core/format.ts";
import { decisionBytes, RENORMALIZE, type ViterbiEngine } from "./engine.ts";

/** An engine in plain TypeScript. */
export function viterbiPlainEngine(): ViterbiEngine {
  let stepBits = 0;
  let weightsPerStep = 0;
  let entries = new Float32Array(0);
  return {
    begin(shape) {
      ({ stepBits, weightsPerStep } = shape);
      entries = Float32Array.from(shape.entries);
    },
    forward(costs, values, importance, from, to) {
      const bytes = decisionBytes(stepBits);
      const steps = Math.ceil((to - from) / weightsPerStep);
      const decisions = new Uint8Array(steps * bytes);
      const errors = new Float32Array(1 << WINDOW_BITS);
      const next = new Float32Array(costs.length);
      for (let j = 0, i = from; j < steps; j++, i += weightsPerStep) {
        measure(errors, entries, weightsPerStep, values, importance, i, Math.min(i + weightsPerStep, to));
        advance(costs, errors, next, stepBits, decisions, j * bytes);
        const lowest = j % RENORMALIZE === RENORMALIZE - 1 ? lowestOf(next) : 0;
        for (let state = 0; state < next.length; state++) costs[state] = Math.fround(next[state]! - lowest);
      }
      return decisions;
    },
  };
}

/** Writes the squared errors of all windows to `errors`, for the weights `from` … `to − 1` of one step. */
function measure(
  errors: Float32Array,
  entries: Float32Array,
  weightsPerStep: number,
  values: Float32Array,
  importance: Float32Array | undefined,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) {
    const value = values[i]!;
    for (let window = 0, at = i - from; window < errors.length; window++, at += weightsPerStep) {
      const difference = Math.fround(value - entries[at]!);
      let square = Math.fround(difference * difference);
      if (importance !== undefined) square = Math.fround(importance[i]! * square);
      errors[window] = i === from ? square : Math.fround(errors[window]! + square);
    }
  }
}

/** Writes the costs of all states after a step to `next`, and the decisions of the step to `decisions` from byte `row` on. */
function advance(
  costs: Float32Array,
  errors: Float32Array,
  next: Float32Array,
  stepBits: number,
  decisions: Uint8Array,
  row: number,
): void {
  const mask = costs.length - 1;
  for (let state = 0; state < costs.length; state++) {
    const first = state << stepBits;
    let best = Math.fround(costs[first & mask]! + errors[first]!);
    let low = 0;
    for (let p = 1; p < 1 << stepBits; p++) {
      const cost = Math.fround(costs[(first + p) & mask]! + errors[first + p]!);
      if (cost < best) {
        best = cost;
        low = p;
      }
    }
    next[state] = best;
    if (stepBits === 1) decisions[row + (state >> 3)]! |= low << (state & 7);
    else if (stepBits === 2) decisions[row + (state >> 2)]! |= ((low & 1) | ((low & 2) << 3)) << (state & 3);
    else decisions[row + state] = low;
  }
}

function lowestOf(costs: Float32Array): number {
  let lowest = costs[0]!;
  for (let state = 1; state < costs.length; state++) if (costs[state]! < lowest) lowest = costs[state]!;
  return lowest;
}
