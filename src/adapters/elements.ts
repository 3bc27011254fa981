/**
 * Converts float tensors of source files to and from `Float32Array`; little-endian, at any byte offset.
 *
 * Source files do not align their tensors (the test set has a header of 35,033 bytes). So binary32 is copied, unless the tensor
 * has a buffer for itself, and the narrow types are assembled byte by byte, which costs 5 to 10 ns per element on Node 20. Widening
 * is exact. Narrowing rounds once, to nearest, ties to even.
 *
 * @module
 */

import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { bf16ToNumber, f16ToNumber, f32BitsToF16, numberToBf16 } from "../floats.ts";
import type { ElementType } from "../model/adapter.ts";
import { toE4m3 } from "./eight-bits.ts";

/** True if this machine stores numbers as source files do. */
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Element types of LoRA factors. F64 is not one of them: widening to F32 would round unnoticed. */
export type FactorElement = "F32" | "F16" | "BF16";

/** Element types in which factors are written. */
export type WrittenElement = FactorElement | "F8_E4M3";

/** True for the element types that {@link toFloat32} widens. */
export function isFactorElement(element: string): element is FactorElement {
  return element === "F32" || element === "F16" || element === "BF16";
}

/**
 * The values of an F32, F16 or BF16 tensor, flat in C order. They share the memory of a binary32 tensor that is all of its buffer, as
 * one that was just read from a file; else they are a new array. `where` names the tensor in errors.
 *
 * @throws LqaError SOURCE_ELEMENT_TYPE for every other element type
 */
export function toFloat32(
  tensor: { readonly element: ElementType; readonly data: Uint8Array },
  where = "tensor",
): Float32Array {
  const { element, data } = tensor;
  if (!isFactorElement(element)) {
    return fail(KIND.SOURCE_ELEMENT_TYPE, { where, expected: "F32, F16 or BF16", actual: element });
  }
  if (element === "F32") {
    // The copy begins its own buffer, so it is aligned. Not data.slice(): a Node Buffer returns a view of a pool.
    if (LITTLE_ENDIAN)
      return new Float32Array(isAlone(data) ? data.buffer : Uint8Array.prototype.slice.call(data).buffer);
    const bits = new Uint32Array(data.length / 4);
    for (let index = 0, at = 0; index < bits.length; index++, at += 4) {
      bits[index] = data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
    }
    return new Float32Array(bits.buffer);
  }
  const values = new Float32Array(data.length / 2);
  const widen = element === "F16" ? f16ToNumber : bf16ToNumber;
  for (let index = 0; index < values.length; index++) {
    values[index] = widen(data[2 * index]! | (data[2 * index + 1]! << 8));
  }
  return values;
}

/** Whether the bytes are all of their buffer. */
function isAlone({ buffer, byteLength }: Uint8Array): boolean {
  return byteLength === buffer.byteLength;
}

/**
 * The values of a tensor of a float type, flat in C order, as a new array; exact. `where` names the tensor in errors.
 *
 * @throws LqaError SOURCE_ELEMENT_TYPE for every element type other than F64, F32, F16 and BF16
 */
export function toFloat64(
  tensor: { readonly element: ElementType; readonly data: Uint8Array },
  where = "tensor",
): Float64Array {
  const { element, data } = tensor;
  if (element !== "F64") return Float64Array.from(toFloat32(tensor, where));
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Float64Array.from({ length: data.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
}

/** The indices of a `token-indices` tensor, U32. */
export function readIndices(tensor: { readonly data: Uint8Array }): number[] {
  const view = new DataView(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  return Array.from({ length: tensor.data.byteLength >>> 2 }, (_, index) => view.getUint32(4 * index, true));
}

/**
 * `values` as the bytes of a tensor. Those for F8_E4M3 must be within its range.
 *
 * @throws LqaError SOURCE_RANGE if a finite value would become infinite
 */
export function fromFloat32(values: Float32Array, element: WrittenElement, where: string): Uint8Array {
  if (element === "F8_E4M3") return toE4m3(values);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  if (element === "F32") {
    const data = new Uint8Array(4 * values.length);
    for (let index = 0, at = 0; index < bits.length; index++, at += 4) {
      const word = bits[index]!;
      data[at] = word;
      data[at + 1] = word >>> 8;
      data[at + 2] = word >>> 16;
      data[at + 3] = word >>> 24;
    }
    return data;
  }
  const data = new Uint8Array(2 * values.length);
  const infinity = element === "F16" ? 0x7c00 : 0x7f80;
  for (let index = 0; index < values.length; index++) {
    const half = element === "F16" ? f32BitsToF16(bits[index]!) : numberToBf16(values[index]!);
    if ((half & 0x7fff) === infinity && Number.isFinite(values[index])) {
      fail(KIND.SOURCE_RANGE, {
        where,
        expected: `a value that ${element} can hold`,
        actual: values[index],
        advice: "Write the factors as F32 (or BF16) instead.",
      });
    }
    data[2 * index] = half;
    data[2 * index + 1] = half >>> 8;
  }
  return data;
}
