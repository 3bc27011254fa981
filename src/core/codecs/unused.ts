/**
 * Unused bits: what is left of the last byte of each component of a plane of codes or zero points (spec clauses 3.6
 * and 7.2). They are padding, so they are checked with the padding between planes, before any value is looked at.
 *
 * @module
 */
import { packedBytes, unusedBits } from "./bits.ts";
import { type Encoding, groupCount, type Planes } from "./encoding.ts";
import { trellisSteps, trellisTable } from "./trellis.ts";

/** Offset in the plane of the first byte with an unused bit set; −1 if all are zero. Linear in components. */
export function firstUnusedBit(
  encoding: Encoding,
  plane: keyof Planes,
  bytes: Uint8Array,
  length: number,
): number {
  if (bytes.length === 0 || plane === "scales" || encoding.codec === "zero" || encoding.codec === "raw")
    return -1;
  let bits = encoding.codec === "affine" ? encoding.bits : 1;
  let fields = plane === "codes" ? length : groupCount(encoding.group, length);
  if (encoding.codec === "trellis") {
    const table = trellisTable(encoding.table);
    bits = table.stepBits;
    fields = trellisSteps(table, length);
  }
  const mask = unusedBits(fields, bits);
  const each = packedBytes(fields, bits);
  if (mask === 0) return -1;
  for (let last = each - 1; last < bytes.length; last += each) if ((bytes[last]! & mask) !== 0) return last;
  return -1;
}
