/**
 * The rules a plane's values must obey (spec clauses 8.1, 8.3 and 12.4), as findings. Unused bits are padding: see `unused.ts`.
 *
 * Every rule is one the decoder does not need: it decodes any bits. Findings are of raw weights and of scales, one for each, in
 * the order of the bytes; codes that are not canonical are a finding of their group's scale, which is 0. Time is linear in the
 * bytes. Which findings are errors is the caller's choice; one that wants the first only throws from `report`.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import type { ErrorKind } from "../../errors.ts";
import { bitsToNumber, readBits } from "./elements.ts";
import {
  type AffineEncoding,
  type Encoding,
  FLOAT_BYTES,
  type FloatType,
  groupCount,
  type Planes,
  type ScaleType,
  type SignEncoding,
  type TrellisEncoding,
} from "./encoding.ts";
import { nonfiniteElement } from "./nonfinite.ts";
import { largestInteger, trellisBits, trellisTable } from "./trellis.ts";

/** Where in the planes a finding lies, and what is wrong. */
export interface PlaneFinding {
  readonly component: number;
  /** Index of the group within the component; absent for padding and raw weights. */
  readonly group?: number;
  readonly expected: string;
  readonly actual: string;
}

/** Receives one finding; `offset` is the byte offset within the plane. True: no more of this plane. */
export type PlaneReport = (
  kind: ErrorKind,
  plane: keyof Planes,
  offset: number,
  details: PlaneFinding,
) => boolean | undefined;

const ELEMENT = { f32: "F32", f16: "F16", bf16: "BF16" } as const;

/** The exponent bits of each float type: all set means Inf or NaN. */
const EXPONENT: Readonly<Record<FloatType, number>> = { f32: 0x7f800000, f16: 0x7c00, bf16: 0x7f80 };

/** Weights of a raw plane, or of a stretch of whole weights of it. @param length weights of a component */
export function checkRaw(codes: Uint8Array, element: FloatType, length: number, report: PlaneReport): void {
  if (nonfiniteElement(ELEMENT[element], codes) < 0) return;
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

/** Bit patterns below it stand for +0 or more, and stay finite times any integer: the bits of 2^15, f16 of infinity. */
function clearPattern(scale: ScaleType): number {
  return scale === "f16" ? 0x7c00 : 0x4700;
}

/**
 * How many scales at the beginning have patterns below `clear`, two at a time: at least those of whole words. 0 if they do not
 * stand on an even byte of their buffer.
 */
function clearScales(scales: Uint8Array, clear: number): number {
  const { buffer, byteOffset, length } = scales;
  const first = byteOffset % 4 === 0 ? 0 : 1;
  if (byteOffset % 2 !== 0 || length < 4 || readBits(scales, "f16", 0) >= clear) return 0;
  const words = new Uint32Array(buffer, byteOffset + 2 * first, (length - 2 * first) >> 2);
  // A pattern that is not below carries into the bit of the sign.
  const add = (0x8000 - clear) * 0x10001;
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at]!;
    if (((((word & 0x7fff7fff) + add) | word) & 0x80008000) !== 0) break;
  }
  return first + 2 * at;
}

/** An encoding with scales. */
export type ScaledEncoding = AffineEncoding | SignEncoding | TrellisEncoding;

/** The planes that say nothing where the scale is 0. */
type PackedPlane = "zeroPoints" | "codes";

/**
 * Scales of whole components.
 *
 * @param groups scales of a component
 * @param used whether group `i` of these, counted through all components, has a zero point or a code that is not 0; without it
 *   that is not looked at
 */
export function checkScales(
  encoding: ScaledEncoding,
  scales: Uint8Array,
  groups: number,
  report: PlaneReport,
  used?: (i: number) => boolean,
): void {
  // The largest |integer| a code can stand for: q − z reaches 2^b − 1.
  const bits = encoding.codec === "affine" ? encoding.bits : 1;
  const largest = encoding.codec === "trellis" ? largestInteger(encoding.rotation) : (1 << bits) - 1;
  const count = scales.length / FLOAT_BYTES[encoding.scale];
  const clear = clearPattern(encoding.scale);
  const place = (i: number) => ({ component: Math.floor(i / groups), group: i % groups });
  // Nearly all are clear: without this, scales of short groups cost a quarter of the time of decoding.
  for (let i = used === undefined ? clearScales(scales, clear) : 0; i < count; i++) {
    const pattern = readBits(scales, encoding.scale, i);
    if (pattern !== 0 && pattern < clear) continue;
    const scale = bitsToNumber(pattern, encoding.scale);
    let enough: boolean | undefined;
    if (!(scale >= 0) || Object.is(scale, -0) || !Number.isFinite(Math.fround(scale * largest)))
      enough = report(KIND.SCALE_VALUE, "scales", i * FLOAT_BYTES[encoding.scale], {
        ...place(i),
        expected: `+0 or more, and finite times ${largest}`,
        actual: Object.is(scale, -0) ? "-0" : String(scale),
      });
    else if (pattern === 0 && used?.(i) === true)
      enough = report(KIND.NONCANONICAL_CODES, "scales", i * FLOAT_BYTES[encoding.scale], {
        ...place(i),
        expected: "zero point and codes of 0 where the scale is 0",
        actual: "others",
      });
    if (enough) return;
  }
}

/**
 * A plane of whole components: its scales, or its raw weights.
 *
 * @param length weights of a component
 * @param used as {@link checkScales} has it
 */
export function checkPlane(
  encoding: Encoding,
  plane: keyof Planes,
  bytes: Uint8Array,
  length: number,
  report: PlaneReport,
  used?: (i: number) => boolean,
): void {
  if (encoding.codec === "raw") checkRaw(bytes, encoding.element, length, report);
  else if (plane === "scales" && encoding.codec !== "zero")
    checkScales(encoding, bytes, groupCount(encoding.group, length), report, used);
}

/** Bits of a row of a plane, which belongs to one component, and of a group of it. */
function rowOf(encoding: ScaledEncoding, plane: PackedPlane, length: number): { all: number; group: number } {
  if (encoding.codec === "trellis") {
    const all = plane === "codes" ? trellisBits(trellisTable(encoding.table), length) : 0;
    return { all, group: all };
  }
  const bits = encoding.codec === "affine" ? encoding.bits : 1;
  if (plane === "codes")
    return { all: length * bits, group: (encoding.group === 0 ? length : encoding.group) * bits };
  return encoding.codec === "affine"
    ? { all: groupCount(encoding.group, length) * bits, group: bits }
    : { all: 0, group: 0 };
}

/**
 * Tells the groups of whole components, counted from 0, whose zero point or codes are not all 0.
 *
 * @param length weights of a component
 */
export function findUsed(
  encoding: ScaledEncoding,
  plane: PackedPlane,
  packed: Uint8Array,
  length: number,
  found: (group: number) => void,
): void {
  const { all, group } = rowOf(encoding, plane, length);
  const groups = groupCount(encoding.group, length);
  const bytes = Math.ceil(all / 8);
  for (let at = 0, first = 0; at < packed.length; at += bytes, first += groups)
    for (let g = 0; g < groups; g++)
      if (anyBit(packed, at, g * group, Math.min((g + 1) * group, all))) found(first + g);
}

/**
 * Looks up whether a group of whole components has a zero point or a code that is not 0, for the scales that are 0.
 *
 * @param length weights of a component
 * @returns takes the number of the group, counted through all components
 */
export function usedGroups(
  encoding: ScaledEncoding,
  planes: Pick<Planes, PackedPlane>,
  length: number,
): (i: number) => boolean {
  const groups = groupCount(encoding.group, length);
  const rows = { zeroPoints: rowOf(encoding, "zeroPoints", length), codes: rowOf(encoding, "codes", length) };
  return (i) =>
    (["zeroPoints", "codes"] as const).some((plane) => {
      const { all, group } = rows[plane];
      const from = (i % groups) * group;
      const base = Math.floor(i / groups) * Math.ceil(all / 8);
      return anyBit(planes[plane], base, from, Math.min(from + group, all));
    });
}

/** Whether one of the bits `from` … `end` − 1, counted from byte `base`, is set. */
function anyBit(packed: Uint8Array, base: number, from: number, end: number): boolean {
  for (let bit = from; bit < end; ) {
    const low = bit & 7;
    const count = Math.min(8 - low, end - bit);
    if ((packed[base + (bit >>> 3)]! & (((1 << count) - 1) << low)) !== 0) return true;
    bit += count;
  }
  return false;
}
