/**
 * Moments in safetensors files: one tensor per module, under the module's name.
 *
 * A tensor with one axis holds the moments themselves. A tensor with two axes holds activations, one row per sample; their
 * mean squares are the moments. Element types: F32, F16, BF16 or F64.
 *
 * @module
 */
import { toFloat64 } from "../elements.ts";
import type { SafeTensor } from "../safetensors.ts";
import { assertSquares, type MomentsEntry, unfit } from "./entry.ts";

/** One entry for each tensor of a safetensors file. */
export function safetensorsEntries(tensors: ReadonlyMap<string, SafeTensor>): MomentsEntry[] {
  return [...tensors].map(([name, tensor]) => ({
    name,
    channels: undefined,
    length: tensor.shape.at(-1) ?? 1,
    read: () => readMoments(name, tensor),
  }));
}

function readMoments(name: string, tensor: SafeTensor): Float64Array {
  const { element, shape, data } = tensor;
  const [first, second] = shape;
  const where = `tensor "${name}"`;
  if (first === undefined || shape.length > 2)
    return unfit(name, { expected: "moments [in] or activations [samples, in]", actual: `[${shape}]` });
  if (second === undefined) {
    const moments = toFloat64(tensor, where);
    assertSquares(name, moments);
    return moments;
  }
  if (first === 0) return unfit(name, { expected: "at least one sample", actual: `[${shape}]` });
  const sums = new Float64Array(second);
  const rowBytes = data.length / first;
  for (let row = 0; row < first; row++) {
    const values = toFloat64({ element, data: data.subarray(row * rowBytes, (row + 1) * rowBytes) }, where);
    for (let j = 0; j < second; j++) {
      const value = values[j]!;
      sums[j]! += value * value;
      // Once a square is not finite, the sum stays so.
      if (Number.isFinite(sums[j])) continue;
      const actual = `${value} at index ${row * second + j}`;
      unfit(name, { expected: "finite activations with finite squares", actual });
    }
  }
  const moments = sums.map((sum) => sum / first);
  assertSquares(name, moments);
  return moments;
}
