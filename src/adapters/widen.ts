/**
 * Converts plain tensors back to the element types they had before an encoder rounded them to F16 (spec clause 10.3).
 *
 * Other programs expect an adapter in the types in which it was saved; the values are those of the LQA file. This is exact:
 * every F16 number is also an F32 and an F64 number, and those that were rounded from BF16 are BF16 numbers.
 *
 * @module
 */
import { f16ToNumber, numberToBf16 } from "../floats.ts";
import { type Adapter, ELEMENT_BYTES, type PlainTensor } from "../model/adapter.ts";
import { type FloatElement, sourceElements } from "../model/source-elements.ts";

/** Widens the plain tensors that, by the origin record, were narrowed to F16. @throws LqaError UNSUPPORTED_DIALECT */
export function widenTensors(adapter: Adapter): Adapter {
  const sourceOf = sourceElements(adapter.origin);
  const tensors = adapter.tensors.map((tensor) => {
    const source = tensor.element === "F16" ? sourceOf(tensor) : "F16";
    return source === "F16" ? tensor : widen(tensor, source);
  });
  return { ...adapter, tensors };
}

function widen(tensor: PlainTensor, element: Exclude<FloatElement, "F16">): PlainTensor {
  const count = tensor.data.length / 2;
  const size = ELEMENT_BYTES[element];
  const data = new Uint8Array(size * count);
  const view = new DataView(data.buffer);
  for (let i = 0; i < count; i++) {
    const value = f16ToNumber(tensor.data[2 * i]! | (tensor.data[2 * i + 1]! << 8));
    if (element === "F64") view.setFloat64(size * i, value, true);
    else if (element === "F32") view.setFloat32(size * i, value, true);
    else view.setUint16(size * i, numberToBf16(value), true);
  }
  return { ...tensor, element, data };
}
