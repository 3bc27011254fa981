/**
 * Shared by the codecs with a scale for each group of weights (spec clause 8.1): two fields of the record, and the reference
 * decoder.
 *
 * @module
 */

import { numberToF16, packedBytes, readElement, unpackCodes } from "../../floats.ts";
import type { RecordFields, RecordReader } from "./codec.ts";
import { type DecodeTarget, type GroupedEncoding, groupCount, type ReferenceDecoder } from "./encoding.ts";

/** The record fields of scale and group. */
export function writeGroups({ group, scale }: GroupedEncoding): RecordFields {
  return { scale, groupExponent: group === 0 ? 0 : Math.log2(group) };
}

/** Reads scale and group of a record. @throws LqaError UNSUPPORTED_CODEC, ENCODING_PARAMETER */
export function readGroups(record: RecordReader): GroupedEncoding {
  const scale = record.float("scale", "F16 or BF16");
  if (scale === "f32") return record.draft("scale", "F16 or BF16", "F32");
  const exponent = record.groupExponent;
  if (exponent !== 0 && (exponent < 4 || exponent > 10))
    record.bad("groupExponent", "0, or 4 to 10", exponent);
  return { group: exponent === 0 ? 0 : 2 ** exponent, scale };
}

/**
 * Up to this width the decoder looks up a group's values in a table. At 4 bits a group of 128 uses each entry 8 times, and
 * the table saves rounding every weight to binary16; at 5 bits and more a group of 16 has fewer weights than entries.
 */
const TABLE_BITS = 4;

/** The reference decoder of `codes` and `signs`. */
export const decodeGrouped: ReferenceDecoder = (lowered, planes, components, length, target, at) => {
  const { kind, bits, zeroBits } = lowered;
  const wide = target instanceof Float32Array;
  const group = lowered.group === 0 ? length : lowered.group;
  const groups = groupCount(lowered.group, length);
  const codeBytes = packedBytes(length, bits);
  const zeroBytes = packedBytes(groups, zeroBits);
  const codes = new Uint8Array(length);
  const zeros = new Uint8Array(groups);
  const table = wide ? new Float32Array(1 << TABLE_BITS) : new Uint16Array(1 << TABLE_BITS);
  for (let c = 0; c < components; c++) {
    unpackCodes(planes.codes, c * codeBytes, length, bits, codes, 0);
    if (zeroBits > 0) unpackCodes(planes.zeroPoints, c * zeroBytes, groups, zeroBits, zeros, 0);
    for (let g = 0; g < groups; g++) {
      const scale = readElement(planes.scales, lowered.scale!, c * groups + g);
      // The integer of code q is step·q + first: q − z, or 1 − 2q for a sign.
      const step = kind === "signs" ? -2 : 1;
      const first = kind === "signs" ? 1 : -zeros[g]!;
      const start = g * group;
      const end = Math.min(start + group, length);
      const to = at.offset + c * at.componentStride + start * at.weightStride;
      if (bits <= TABLE_BITS) {
        for (let q = 0; q < 1 << bits; q++) {
          const value = Math.fround((step * q + first) * scale);
          table[q] = wide ? value : numberToF16(value);
        }
        scatter(table, codes, start, end, target, to, at.weightStride);
      } else {
        for (let i = start, p = to; i < end; i++, p += at.weightStride) {
          const value = Math.fround((step * codes[i]! + first) * scale);
          target[p] = wide ? value : numberToF16(value);
        }
      }
    }
  }
};

function scatter(
  table: DecodeTarget,
  codes: Uint8Array,
  start: number,
  end: number,
  target: DecodeTarget,
  to: number,
  stride: number,
): void {
  for (let i = start; i < end; i++, to += stride) target[to] = table[codes[i]!]!;
}
