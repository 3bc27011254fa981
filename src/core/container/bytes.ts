/**
 * Small byte work that several records share: aligning, joining, and finding a byte that should be zero.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";

/** Smallest multiple of `unit` (a power of two) that is not below `position`. Exact up to 2^53. */
export function align(position: number, unit: number): number {
  return Math.ceil(position / unit) * unit;
}

/** The pieces one after the other. */
export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

/** Fails with PADDING_NONZERO at the first byte of `bytes` that is not zero. `base`: its position in the file. */
export function requireZero(bytes: Uint8Array, base: number, where: string): void {
  for (let i = 0; i < bytes.length; i++)
    if (bytes[i] !== 0)
      fail(KIND.PADDING_NONZERO, { where, offset: base + i, expected: 0, actual: bytes[i] });
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const b of bytes) text += b.toString(16).padStart(2, "0");
  return text;
}
