/**
 * The reference decoder: planes to binary32 or binary16 weights, bit for bit (spec clauses 8.1 to 8.6).
 *
 * This is the definition in code. A binary32 weight is an exact product, so it does not depend on who computes it; as
 * binary16 it is that value, rounded once to nearest even. Signs of zero follow IEEE 754: a negative multiple of a zero scale is −0, and
 * so is the sign codec's bit 1.
 *
 * The decoder accepts whatever bits the planes hold; whether they are allowed is for `check.ts`. `decode.ts` chooses
 * between this one and the kernel, which gives the same bits.
 *
 * @module
 */
import { packedBytes, unpackCodes } from "./bits.ts";
import { readBits, readElement } from "./elements.ts";
import {
  type AffineEncoding,
  type Encoding,
  type FloatType,
  groupCount,
  type Planes,
  type SignEncoding,
} from "./encoding.ts";
import { f16ToNumber, f32BitsToF16, numberToF16 } from "./floats.ts";
import { decodeTrellis } from "./trellis-decode.ts";

/** Decoded weights: `Float32Array` takes binary32 values, `Uint16Array` takes binary16 bit patterns. */
export type DecodeTarget = Float32Array | Uint16Array;

/**
 * Where the weights go: weight i of component c to `target[offset + c·componentStride + i·weightStride]`.
 *
 * Component after component: strides (length, 1). The transposed layout of a B factor, `[out][rank]`: (1, rank).
 */
export interface Placement {
  readonly offset: number;
  readonly componentStride: number;
  readonly weightStride: number;
}

/**
 * Decodes the planes of one factor of one band. Plane lengths and the target have been checked.
 *
 * @param components Number of vectors in the planes.
 * @param length Weights of each vector.
 * @param target Its type selects the output.
 * @throws LqaError UNSUPPORTED_CODEC for an unknown trellis table.
 */
export function decodePlain(
  encoding: Encoding,
  planes: Planes,
  components: number,
  length: number,
  target: DecodeTarget,
  at: Placement,
): void {
  switch (encoding.codec) {
    case "zero":
      for (let c = 0; c < components; c++) {
        let to = at.offset + c * at.componentStride;
        for (let i = 0; i < length; i++, to += at.weightStride) target[to] = 0;
      }
      break;
    case "raw":
      decodeRaw(encoding.element, planes.codes, components, length, target, at);
      break;
    case "trellis":
      decodeTrellis(encoding, planes, components, length, target, at);
      break;
    default:
      decodeGrouped(encoding, planes, components, length, target, at);
  }
}

/** Raw weights travel as bit patterns, so that the payload of a NaN survives; in binary16 a NaN becomes quiet (3.2, 8.7). */
function decodeRaw(
  element: FloatType,
  codes: Uint8Array,
  components: number,
  length: number,
  target: DecodeTarget,
  at: Placement,
): void {
  const wide = target instanceof Float32Array;
  const bits = wide ? new Uint32Array(target.buffer, target.byteOffset, target.length) : target;
  for (let c = 0, from = 0; c < components; c++) {
    let to = at.offset + c * at.componentStride;
    for (let i = 0; i < length; i++, from++, to += at.weightStride) {
      const source = readBits(codes, element, from);
      if (element === "f16") bits[to] = wide ? f16BitsToF32(source) : quieted(source);
      else {
        const value = element === "bf16" ? source << 16 : source;
        bits[to] = wide ? value : f32BitsToF16(value);
      }
    }
  }
}

/** What widening to binary32 and rounding back does: nothing, but that a NaN becomes quiet. */
function quieted(f16: number): number {
  return (f16 & 0x7fff) > 0x7c00 ? f16 | 0x200 : f16;
}

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

function f16BitsToF32(bits: number): number {
  if ((bits & 0x7c00) === 0x7c00) return ((bits & 0x8000) << 16) | 0x7f800000 | ((bits & 0x3ff) << 13);
  f32[0] = f16ToNumber(bits);
  return u32[0]!;
}

/**
 * Up to this width a group's values come from a table. At 4 bits a group of 128 uses each entry 8 times, and the
 * table saves binary16 rounding for every weight; at 5 bits and more a group of 16 would mostly build its table.
 */
const TABLE_BITS = 4;

function decodeGrouped(
  encoding: AffineEncoding | SignEncoding,
  planes: Planes,
  components: number,
  length: number,
  target: DecodeTarget,
  at: Placement,
): void {
  const wide = target instanceof Float32Array;
  const bits = encoding.codec === "sign" ? 1 : encoding.bits;
  const group = encoding.group === 0 ? length : encoding.group;
  const groups = groupCount(encoding.group, length);
  const codeBytes = packedBytes(length, bits);
  const zeroBytes = packedBytes(groups, bits);
  const codes = new Uint8Array(length);
  const zeros = new Uint8Array(groups);
  const table = wide ? new Float32Array(1 << TABLE_BITS) : new Uint16Array(1 << TABLE_BITS);
  for (let c = 0; c < components; c++) {
    unpackCodes(planes.codes, c * codeBytes, length, bits, codes, 0);
    if (encoding.codec === "affine") unpackCodes(planes.zeroPoints, c * zeroBytes, groups, bits, zeros, 0);
    for (let g = 0; g < groups; g++) {
      const scale = readElement(planes.scales, encoding.scale, c * groups + g);
      // The integer of code q is step·q + first: q − z, or 1 − 2q for a sign.
      const step = encoding.codec === "sign" ? -2 : 1;
      const first = encoding.codec === "sign" ? 1 : -zeros[g]!;
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
}

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
