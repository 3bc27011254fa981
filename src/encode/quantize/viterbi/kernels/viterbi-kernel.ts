/**
 * The Viterbi engine as a WebAssembly kernel with 128-bit SIMD (source: `viterbi.as`, contract: `../engine.ts`).
 *
 * Its memory holds the table and one block of one vector.
 *
 * @module
 */

import { growTo, kernelMaker } from "../../../../common/wasm/kernel.ts";
import { WINDOW_BITS } from "../../../../core/format.ts";
import { decisionBytes, type TrellisShape, type ViterbiEngine } from "../engine.ts";
import { WASM_TEXT } from "./viterbi.wasm.ts";

interface Exports {
  forward(
    stepBits: number,
    two: number,
    weighted: number,
    steps: number,
    values: number,
    importance: number,
    out: number,
  ): number;
}

/** Byte addresses of the kernel's table and of its free memory, as in viterbi.as. Costs are at 0. */
const TABLE = 1024;
const FREE = 4096;

const newKernel = kernelMaker<Exports>(WASM_TEXT);

/** Writes the table in the kernel's order: `[v][p][s]` from `[s << k | p][v]`. */
function writeTable(table: Float32Array, { stepBits, weightsPerStep, entries }: TrellisShape): void {
  const states = 1 << (WINDOW_BITS - stepBits);
  for (let i = 0; i < table.length; i++) {
    const window = ((i % states) << stepBits) | (Math.floor(i / states) % (1 << stepBits));
    table[i] = entries[window * weightsPerStep + (i >> WINDOW_BITS)]!;
  }
}

/** A new engine; undefined if {@link kernelMaker} makes no kernel. */
export function viterbiKernelEngine(): ViterbiEngine | undefined {
  const made = newKernel();
  if (made === undefined) return undefined;
  const kernel = made;
  const { memory } = kernel;
  let capacity = 0;
  let held: TrellisShape | undefined;
  return { begin, forward };

  function begin(shape: TrellisShape, steps: number): void {
    // Values, and importance after them, each take a multiple of 16 bytes.
    capacity = 4 * Math.ceil((steps * shape.weightsPerStep) / 4);
    const bytes = FREE + 8 * capacity + steps * decisionBytes(shape.stepBits);
    if (!growTo(memory, bytes)) throw new RangeError(`no ${bytes} bytes of memory for the search`);
    if (shape !== held) writeTable(new Float32Array(memory.buffer, TABLE, 256 * shape.weightsPerStep), shape);
    held = shape;
  }

  function forward(
    costs: Float32Array,
    values: Float32Array,
    importance: Float32Array | undefined,
    from: number,
    to: number,
  ): Uint8Array {
    const { stepBits, weightsPerStep } = held!;
    const count = to - from;
    const whole = Math.floor(count / weightsPerStep);
    const at = { values: FREE, importance: FREE + 4 * capacity, out: FREE + 8 * capacity };
    const heldValues = new Float32Array(memory.buffer, at.values, capacity);
    const heldImportance = new Float32Array(memory.buffer, at.importance, capacity);
    heldValues.set(values.subarray(from, to));
    if (importance !== undefined) heldImportance.set(importance.subarray(from, to));
    const bytes = decisionBytes(stepBits);
    const costsAt = (place: number): Float32Array => new Float32Array(memory.buffer, place, costs.length);
    costsAt(0).set(costs);
    const run = (weighted: boolean, steps: number, weight: number, step: number): number =>
      kernel.forward(
        stepBits,
        weightsPerStep - 1,
        weighted ? 1 : 0,
        steps,
        at.values + 4 * weight,
        at.importance + 4 * weight,
        at.out + step * bytes,
      );
    let end = run(importance !== undefined, whole, 0, 0);
    if (end % 2 === 1) throw new RangeError(`no code for ${weightsPerStep} weights in ${stepBits} bits`);
    if (whole * weightsPerStep < count) {
      // The last step lacks a weight: with importance 0 it adds +0 to the cost.
      heldValues[count] = 0;
      heldImportance[count - 1] = importance === undefined ? 1 : importance[to - 1]!;
      heldImportance[count] = 0;
      costsAt(0).set(costsAt(end));
      end = run(true, 1, count - 1, whole);
    }
    costs.set(costsAt(end));
    return new Uint8Array(memory.buffer, at.out, Math.ceil(count / weightsPerStep) * bytes);
  }
}
