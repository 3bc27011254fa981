/**
 * One float of a plane: little-endian f32, f16 or bf16 at an element index (spec clauses 3.2 and 8.1).
 *
 * Planes lie at any byte offset of a file, so nothing here assumes alignment or the byte order of the host. The
 * caller keeps indices inside the plane.
 *
 * @module
 */
import type { FloatType } from "./encoding.ts";
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "./floats.ts";

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** The bit pattern of element `index`: 16 bits for f16 and bf16, 32 (unsigned) for f32. */
export function readBits(bytes: Uint8Array, type: FloatType, index: number): number {
  if (type !== "f32") return bytes[2 * index]! | (bytes[2 * index + 1]! << 8);
  const at = 4 * index;
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** The number a bit pattern of that type stands for. Exact, except that NaN payloads are up to the engine. */
export function bitsToNumber(bits: number, type: FloatType): number {
  if (type === "f16") return f16ToNumber(bits);
  if (type === "bf16") return bf16ToNumber(bits);
  u32[0] = bits;
  return f32[0]!;
}

/** Rounds to binary32 and then to the type, each to nearest, ties to even. Overflow gives infinity. */
export function numberToBits(value: number, type: FloatType): number {
  if (type === "f16") return numberToF16(value);
  if (type === "bf16") return numberToBf16(value);
  f32[0] = value;
  return u32[0]!;
}

/** Element `index` as a number. */
export function readElement(bytes: Uint8Array, type: FloatType, index: number): number {
  return bitsToNumber(readBits(bytes, type, index), type);
}

/** Writes the bit pattern of element `index`. */
export function writeBits(bytes: Uint8Array, type: FloatType, index: number, bits: number): void {
  const size = type === "f32" ? 4 : 2;
  for (let byte = 0; byte < size; byte++) bytes[size * index + byte] = bits >>> (8 * byte);
}
