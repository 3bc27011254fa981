/**
 * The weight that an adapter makes of a base weight (spec clauses 9.1 to 9.4): W + multiplier · B · A in the base's
 * layout, scaled by a DoRA magnitude if there is one.
 *
 * Products are summed in float64 over the rank, added to the exact base weight, and rounded once to float32; then once
 * to the base's element type.
 *
 * @module
 */
import { toFloat32 } from "../dialects/elements.ts";
import { quoteName } from "../dialects/json.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { inputLength, type LoraModule, type PlainTensor } from "../model/adapter.ts";

/** Adds ΔW to `weight` in place. `weight` has the base's shape (spec clause 9.2). */
export function addDelta(weight: Float32Array, module: LoraModule): void {
  const { experts, out, rank, baseLayout, multiplier } = module;
  const { a, b } = module;
  const length = inputLength(module);
  const row = new Float64Array(length);
  for (let expert = 0; expert < experts; expert++) {
    const at = expert * out * length;
    for (let o = 0; o < out; o++) {
      row.fill(0);
      for (let r = 0; r < rank; r++) {
        const factor = b[(expert * out + o) * rank + r]!;
        if (factor === 0) continue;
        const from = (expert * rank + r) * length;
        for (let i = 0; i < length; i++) row[i] = row[i]! + factor * a[from + i]!;
      }
      if (baseLayout === "out-in") {
        for (let i = 0, to = at + o * length; i < length; i++, to++)
          weight[to] = weight[to]! + multiplier * row[i]!;
      } else {
        for (let i = 0, to = at + o; i < length; i++, to += out)
          weight[to] = weight[to]! + multiplier * row[i]!;
      }
    }
  }
}

/**
 * Scales a weight to a DoRA magnitude: m · W / ‖W‖, norms over all other axes than the magnitude's.
 *
 * @throws LqaError BASE_SHAPE if the magnitude does not have the size of that axis
 */
export function applyMagnitude(weight: Float32Array, module: LoraModule, magnitude: PlainTensor): void {
  const { experts, out, baseLayout } = module;
  const length = inputLength(module);
  const [rows, columns] = baseLayout === "out-in" ? [out, length] : [length, out];
  const size = magnitude.axis === 0 ? rows : module.kernel.length === 0 ? columns : module.in;
  const values = toFloat32(magnitude, `magnitude of module ${quoteName(module.name)}`);
  if (values.length !== experts * size) {
    fail(KIND.BASE_SHAPE, {
      where: `magnitude of module ${quoteName(module.name)}`,
      expected: experts * size,
      actual: values.length,
    });
  }
  // Weights that share a number: a row, or a column (of a kernel, all its places).
  const place = columns / (magnitude.axis === 0 ? columns : size);
  for (let expert = 0; expert < experts; expert++) {
    const at = expert * rows * columns;
    const index = (row: number, column: number): number =>
      magnitude.axis === 0 ? row : Math.floor(column / place);
    const squares = new Float64Array(size);
    for (let row = 0, i = at; row < rows; row++) {
      for (let column = 0; column < columns; column++, i++) squares[index(row, column)]! += weight[i]! ** 2;
    }
    for (let row = 0, i = at; row < rows; row++) {
      for (let column = 0; column < columns; column++, i++) {
        const k = index(row, column);
        weight[i] = (weight[i]! * values[expert * size + k]!) / Math.sqrt(squares[k]!);
      }
    }
  }
}
