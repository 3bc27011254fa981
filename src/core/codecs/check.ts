/**
 * Checks the values of planes (spec clauses 8.1, 8.3 and 12.4) and reports findings; and finds unused bits that are set.
 *
 * The decoder needs none of these rules: it decodes any bits. There is at most one finding for each raw weight and each scale,
 * in the order of the bytes; the finding for codes that are not canonical belongs to the scale of their group, which is 0. Time
 * is linear in the bytes. The caller decides which findings are errors, and can throw from `report` to stop at the first.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import type { ErrorKind } from "../../errors.ts";
import { bitsToNumber, packedBytes, readBits, unusedBits } from "../../floats.ts";
import type { ElementType } from "../../model/adapter.ts";
import {
  FLOAT_BYTES,
  type FloatType,
  fieldCount,
  groupCount,
  type Lowered,
  type Planes,
  type ScaleType,
} from "./encoding.ts";

/** Place and values of a finding. */
export interface PlaneFinding {
  readonly component: number;
  /** Index of the group within the component; absent for raw weights. */
  readonly group?: number;
  readonly expected: string;
  readonly actual: string;
}

/** Receives one finding; `offset` is the byte offset within the plane. Returning true ends the check of this plane. */
export type PlaneReport = (
  kind: ErrorKind,
  plane: keyof Planes,
  offset: number,
  details: PlaneFinding,
) => boolean | undefined;

/** The exponent bits of each float type: all set means Inf or NaN. */
const EXPONENT: Readonly<Record<FloatType, number>> = { f32: 0x7f800000, f16: 0x7c00, bf16: 0x7f80 };

/**
 * Offset in a plane of the first byte in which an unused bit is set; −1 if there is none. Unused bits are the rest of the last
 * byte of a component (spec clauses 3.6 and 7.2). They are padding, so readers check them with the padding between planes,
 * before any value. Time is linear in components.
 *
 * @param length weights of a component
 */
export function firstUnusedBit(
  lowered: Lowered,
  plane: keyof Planes,
  bytes: Uint8Array,
  length: number,
): number {
  if (bytes.length === 0 || plane === "scales") return -1;
  const bits = plane === "codes" ? lowered.bits : lowered.zeroBits;
  const fields = fieldCount(lowered, plane, length);
  const mask = unusedBits(fields, bits);
  if (mask === 0) return -1;
  const each = packedBytes(fields, bits);
  for (let last = each - 1; last < bytes.length; last += each) if ((bytes[last]! & mask) !== 0) return last;
  return -1;
}

/**
 * Checks the weights of a plane of floats, or of a part of it: reports Inf and NaN.
 *
 * @param codes whole weights
 * @param length weights of a component
 */
export function checkFloats(
  codes: Uint8Array,
  element: FloatType,
  length: number,
  report: PlaneReport,
): void {
  if (nonfiniteElement(element.toUpperCase() as ElementType, codes) < 0) return;
  const mask = EXPONENT[element];
  const count = codes.length / FLOAT_BYTES[element];
  for (let i = 0; i < count; i++) {
    const bits = readBits(codes, element, i);
    if ((bits & mask) !== mask) continue;
    const enough = report(KIND.NONFINITE_VALUE, "codes", i * FLOAT_BYTES[element], {
      component: Math.floor(i / length),
      expected: "a finite number",
      actual: String(bitsToNumber(bits, element)),
    });
    if (enough) return;
  }
}

/**
 * The bit pattern below which a scale is +0 or more, and finite in binary32 times any integer: 2^15 in bf16, infinity in f16.
 */
function clearPattern(scale: ScaleType): number {
  return scale === "f16" ? 0x7c00 : 0x4700;
}

/** Fewest bytes of scales for which testing two at a time takes less time. */
const MANY_SCALES = 64;

/**
 * Number of leading scales whose bit patterns are surely below `clear`: it tests two at a time, so there may be more. 0 if the
 * scales are few or do not start at an even byte of their buffer.
 */
function clearScales(scales: Uint8Array, clear: number): number {
  const { buffer, byteOffset, length } = scales;
  const first = byteOffset % 4 === 0 ? 0 : 1;
  if (byteOffset % 2 !== 0 || length < MANY_SCALES || readBits(scales, "f16", 0) >= clear) return 0;
  const words = new Uint32Array(buffer, byteOffset + 2 * first, (length - 2 * first) >> 2);
  // A pattern that is not below `clear` carries into the sign bit.
  const add = (0x8000 - clear) * 0x10001;
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at]!;
    if (((((word & 0x7fff7fff) + add) | word) & 0x80008000) !== 0) break;
  }
  return first + 2 * at;
}

/**
 * Checks the scales of whole components.
 *
 * @param length weights of a component
 * @param used whether group `i` of these, counted through all components, has a zero point or a code that is not 0; if it is
 *   absent, the function does not check whether codes are canonical
 */
export function checkScales(
  { group, scale: type, largest }: Lowered,
  scales: Uint8Array,
  length: number,
  report: PlaneReport,
  used?: (i: number) => boolean,
): void {
  if (type === undefined) return;
  const groups = groupCount(group, length);
  const count = scales.length / FLOAT_BYTES[type];
  const clear = clearPattern(type);
  const place = (i: number) => ({ component: Math.floor(i / groups), group: i % groups });
  // Nearly all scales are clear: without this, checking scales of short groups takes a quarter of the time of decoding.
  for (let i = used === undefined ? clearScales(scales, clear) : 0; i < count; i++) {
    const pattern = readBits(scales, type, i);
    if (pattern !== 0 && pattern < clear) continue;
    const scale = bitsToNumber(pattern, type);
    let enough: boolean | undefined;
    if (!(scale >= 0) || Object.is(scale, -0) || !Number.isFinite(Math.fround(scale * largest)))
      enough = report(KIND.SCALE_VALUE, "scales", i * FLOAT_BYTES[type], {
        ...place(i),
        expected: `+0 or more, and finite times ${largest}`,
        actual: Object.is(scale, -0) ? "-0" : String(scale),
      });
    else if (pattern === 0 && used?.(i) === true)
      enough = report(KIND.NONCANONICAL_CODES, "scales", i * FLOAT_BYTES[type], {
        ...place(i),
        expected: "zero point and codes of 0 where the scale is 0",
        actual: "others",
      });
    if (enough) return;
  }
}

/**
 * Checks a plane of whole components: scales, or raw weights. Other planes need no check.
 *
 * @param length weights of a component
 * @param used as in {@link checkScales}
 */
export function checkPlane(
  lowered: Lowered,
  plane: keyof Planes,
  bytes: Uint8Array,
  length: number,
  report: PlaneReport,
  used?: (i: number) => boolean,
): void {
  if (plane === "scales") checkScales(lowered, bytes, length, report, used);
  else if (lowered.element !== undefined) checkFloats(bytes, lowered.element, length, report);
}

// Finds Inf and NaN in elements of a float type (spec clause 8.3) by their exponent bits: no conversion, any alignment.
//
// The code reads aligned elements as 32-bit words, eight at a time: adding one to an exponent of ones carries into the bit
// above it, and one test finds that in all eight words. This is twice as fast as SHA-256 (2.4 and 1.2 GB/s of CPU time on a
// busy Xeon, Node 20; element by element 0.9), so checksums dominate the time of a validator.

/** For each float type: bytes of an element, and its exponent bits. */
const EXPONENTS: Partial<Record<ElementType, readonly [size: 2 | 4 | 8, mask: number]>> = {
  F64: [8, 0x7ff00000],
  F32: [4, 0x7f800000],
  BF16: [2, 0x7f80],
  F16: [2, 0x7c00],
};

/** Number of the first element that is Inf or NaN; −1 if there is none. Integers have none. */
export function nonfiniteElement(element: ElementType, data: Uint8Array): number {
  const float = EXPONENTS[element];
  if (float === undefined) return -1;
  const [size, mask] = float;
  if (data.byteOffset % 4 === 0) {
    const words = new Uint32Array(data.buffer, data.byteOffset, data.length >> 2);
    if (size === 8) return firstWith(words, mask, 1, 2);
    const clear = size === 4 ? clearWords(words, mask) : clearWords(words, mask | (mask << 16));
    return firstElement(data, size, mask, 4 * clear);
  }
  return firstElement(data, size, mask, 0);
}

/** As {@link nonfiniteElement}, byte by byte from byte `begin` on, a multiple of the size. */
function firstElement(data: Uint8Array, size: 2 | 4 | 8, mask: number, begin: number): number {
  const high = size === 2 ? mask : mask >>> 16;
  for (let at = begin + size - 2; at < data.length; at += size)
    if (((data[at]! | (data[at + 1]! << 8)) & high) === high) return (at - (size - 2)) / size;
  return -1;
}

/** Number of leading words without an exponent of ones, rounded down to a multiple of eight. */
function clearWords(words: Uint32Array, mask: number): number {
  // The lowest bit of each exponent, and the bit above its highest, which is the sign.
  const one = mask & ~(mask << 1);
  const sign = (mask << 1) & ~mask;
  let at = 0;
  for (; at + 8 <= words.length; at += 8) {
    const carried =
      ((words[at]! & mask) + one) |
      ((words[at + 1]! & mask) + one) |
      ((words[at + 2]! & mask) + one) |
      ((words[at + 3]! & mask) + one) |
      ((words[at + 4]! & mask) + one) |
      ((words[at + 5]! & mask) + one) |
      ((words[at + 6]! & mask) + one) |
      ((words[at + 7]! & mask) + one);
    if ((carried & sign) !== 0) break;
  }
  return at;
}

/** Counts every `step`-th word from `from` on: number of the first that has all bits of `mask`; −1 if none has. */
function firstWith(words: Uint32Array, mask: number, from: number, step: number): number {
  for (let i = from; i < words.length; i += step) if ((words[i]! & mask) === mask) return (i - from) / step;
  return -1;
}
