/**
 * The Viterbi engine as a WebAssembly kernel with 128-bit SIMD (source: `viterbi.as`, contract: `viterbi-engine.ts`).
 *
 * Its memory holds the table and one block of one vector.
 *
 * @module
 */
import { WINDOW_BITS } from "../../../../core/format.ts";
import { growTo, kernelMaker } from "../../../../core/rooms.ts";

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

/** A new engine; undefined if {@link kernelMaker} makes no kernel. */
export function viterbiKernelEngine(): ViterbiEngine | undefined {
  const made = newKernel();
  if (made === undefined) return undefined;
  const kernel = made;
  const { memory } = kernel;
  let stepBits = 0;
  let weightsPerStep = 0;
  let capacity = 0;
  return { begin, forward };

  function begin(shape: TrellisShape, steps: number): void {
    ({ stepBits, weightsPerStep } = shape);
    // Values, and importance after them, each take a multiple of 16 bytes.
    capacity = 4 * Math.ceil((steps * weightsPerStep) / 4);
    const bytes = FREE + 8 * capacity + steps * decisionBytes(stepBits);
    if (!growTo(memory, bytes)) throw new RangeError(`no ${bytes} bytes of memory for the search`);
    // [v][p][s] from [s << k | p][v]
    const states = 1 << (WINDOW_BITS - stepBits);
    const table = new Float32Array(memory.buffer, TABLE, 256 * weightsPerStep);
    for (let i = 0; i < table.length; i++) {
      const window = ((i % states) << stepBits) | (Math.floor(i / states) % (1 << stepBits));
      table[i] = shape.entries[window * weightsPerStep + (i >> WINDOW_BITS)]!;
    }
  }

  function forward(
    costs: Float32Array,
    values: Float32Array,
    importance: Float32Array | undefined,
    from: number,
    to: number,
  ): Uint8Array {
    const count = to - from;
    const whole = Math.floor(count / weightsPerStep);
    const at = { values: FREE, importance: FREE + 4 * capacity, out: FREE + 8 * capacity };
    const heldValues = new Float32Array(memory.buffer, at.values, capacity);
    const heldImportance = new Float32Array(memory.buffer, at.importance, capacity);
    heldValues.set(values.subarray(from, to));
    if (importance !== undefined) heldImportance.set(importance.subarray(from, to));
    const two = weightsPerStep - 1;
    const bytes = decisionBytes(stepBits);
    new Float32Array(memory.buffer, 0, costs.length).set(costs);
    let end = kernel.forward(
      stepBits,
      two,
      importance === undefined ? 0 : 1,
      whole,
      at.values,
      at.importance,
      at.out,
    );
    if (end % 2 === 1) throw new RangeError(`no code for ${weightsPerStep} weights in ${stepBits} bits`);
    if (whole * weightsPerStep < count) {
      // The last step lacks a weight: with importance 0 it adds +0 to the cost.
      heldValues[count] = 0;
      heldImportance[count - 1] = importance === undefined ? 1 : importance[to - 1]!;
      heldImportance[count] = 0;
      new Float32Array(memory.buffer, 0, costs.length).set(
        new Float32Array(memory.buffer, end, costs.length),
      );
      const last = 4 * (count - 1);
      end = kernel.forward(
        stepBits,
        two,
        1,
        1,
        at.values + last,
        at.importance + last,
        at.out + whole * bytes,
      );
    }
    costs.set(new Float32Array(memory.buffer, end, costs.length));
    return new Uint8Array(memory.buffer, at.out, Math.ceil(count / weightsPerStep) * bytes);
  }
}
