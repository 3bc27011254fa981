/**
 * The weight that an adapter makes of a base weight (spec clause 9.6): W + multiplier · B · A in the base's layout, scaled to
 * a DoRA magnitude if there is one.
 *
 * This file computes in binary64, in the order of that clause, and rounds once to binary32, so that every machine gives the
 * same bytes. A caller rounds once more to the base's element type.
 *
 * @module
 */
import { toFloat64 } from "../adapters/elements.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { inputLength, type LoraModule, type PlainTensor } from "../model/adapter.ts";

/**
 * Adapts `weight` in place.
 *
 * For a module with a magnitude it computes each row of W + ΔW twice, first for the norms. So it needs memory for one row and
 * the norms only.
 *
 * @param weight has the base's shape (spec clause 9.2)
 * @param magnitude follows the rules of clause 9.4
 * @param where names the weight in errors
 * @throws LqaError SOURCE_NONFINITE if a result is Inf or NaN; a norm of 0 causes that, too
 */
export function adaptWeight(
  weight: Float32Array,
  module: LoraModule,
  magnitude: PlainTensor | undefined,
  where: string,
): void {
  const { experts, out, rank, baseLayout, multiplier } = module;
  const { a, b } = module;
  const length = inputLength(module);
  const row = new Float64Array(length);
  // Weight i of row o of an expert is at: start of the expert + o · down + i · across.
  const [down, across] = baseLayout === "out-in" ? [length, 1] : [1, out];
  /** Computes row `o` of W + multiplier · B · A into `row`. Returns the place of the row's first weight in `weight`. */
  const sum = (expert: number, o: number): number => {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = b[(expert * out + o) * rank + r]!;
      const from = (expert * rank + r) * length;
      for (let i = 0; i < length; i++) row[i] = row[i]! + factor * a[from + i]!;
    }
    const at = expert * out * length + o * down;
    for (let i = 0, to = at; i < length; i++, to += across) row[i] = weight[to]! + multiplier * row[i]!;
    return at;
  };

  /** The DoRA scale of weight i of row o; undefined without a magnitude. */
  let scale: ((o: number, i: number) => number) | undefined;
  const values = magnitude && toFloat64(magnitude, where);
  for (let expert = 0; expert < experts; expert++) {
    if (magnitude !== undefined && values !== undefined) {
      const ofRows = (baseLayout === "out-in") === (magnitude.axis === 0);
      const places = length / module.in;
      const slice = (o: number, i: number): number => (ofRows ? o : Math.floor(i / places));
      const size = ofRows ? out : module.in;
      const squares = new Float64Array(size);
      for (let o = 0; o < out; o++) {
        sum(expert, o);
        for (let i = 0; i < length; i++) squares[slice(o, i)]! += row[i]! * row[i]!;
      }
      const factors = squares.map((square, k) => values[expert * size + k]! / Math.sqrt(square));
      scale = (o, i) => factors[slice(o, i)]!;
    }
    for (let o = 0; o < out; o++) {
      let to = sum(expert, o);
      for (let i = 0; i < length; i++, to += across) {
        weight[to] = scale === undefined ? row[i]! : scale(o, i) * row[i]!;
        if (!Number.isFinite(weight[to])) notFinite(where, weight[to]!);
      }
    }
  }
}

function notFinite(where: string, actual: number): never {
  return fail(KIND.SOURCE_NONFINITE, {
    where,
    expected: "a finite adapted weight",
    actual,
    advice: "Check that the adapter was trained on this model; a DoRA adapter needs a weight that is not 0.",
  });
}
