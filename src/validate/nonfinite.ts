/**
 * Finds Inf and NaN in plain tensors (spec clause 8.3) by their exponent bits: no conversion, any alignment.
 *
 * @module
 */
import type { ElementType } from "../model/adapter.ts";

/** For each float type: bytes of an element, and the exponent bits in its two highest bytes. */
const EXPONENTS: Partial<Record<ElementType, readonly [size: number, mask: number]>> = {
  F64: [8, 0x7ff0],
  F32: [4, 0x7f80],
  BF16: [2, 0x7f80],
  F16: [2, 0x7c00],
};

/** Number of the first element that is Inf or NaN; −1 if there is none. Integers have none. */
export function nonfiniteElement(element: ElementType, data: Uint8Array): number {
  const float = EXPONENTS[element];
  if (float === undefined) return -1;
  const [size, mask] = float;
  for (let at = size - 2; at < data.length; at += size)
    if (((data[at]! | (data[at + 1]! << 8)) & mask) === mask) return (at - (size - 2)) / size;
  return -1;
}

/** Number of the first element of a BOOL tensor that is neither 0 nor 1; −1 if there is none (spec clause 6.8). */
export function badBoolean(element: ElementType, data: Uint8Array): number {
  return element === "BOOL" ? data.findIndex((value) => value > 1) : -1;
}
