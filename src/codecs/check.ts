/**
 * The rules a plane's values must obey (spec clauses 8.1, 8.3 and 12.4), as findings. Unused bits are padding: see `unused.ts`.
 *
 * Every rule is one the decoder does not need: it decodes any bits. What is found is reported in the order of the
 * planes (scales, zero points, codes) and of the bytes within each, one finding for a scale, a group's zero point,
 * a group's codes or a raw weight. Time is linear in the bytes. Which findings are errors is
 * the caller's choice; one that wants the first only throws from `report`.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import type { ErrorKind } from "../errors.ts";
import { packedBytes } from "./bits.ts";
import { bitsToNumber, readBits } from "./elements.ts";
import {
  type AffineEncoding,
  FLOAT_BYTES,
  type FloatType,
  groupCount,
  type Planes,
  type ScaleType,
  type SignEncoding,
  type TrellisEncoding,
} from "./encoding.ts";
import { nonfiniteElement } from "./nonfinite.ts";
import { largestInteger, trellisSteps, trellisTable } from "./trellis.ts";

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

/** An encoding with scales. */
export type ScaledEncoding = AffineEncoding | SignEncoding | TrellisEncoding;

/**
 * Scales of whole components.
 *
 * @param groups scales of a component
 * @param zero gets a 1 for each scale that is 0
 */
export function checkScales(
  encoding: ScaledEncoding,
  scales: Uint8Array,
  groups: number,
  report: PlaneReport,
  zero?: Uint8Array,
): void {
  // The largest |integer| a code can stand for: q − z reaches 2^b − 1.
  const bits = encoding.codec === "affine" ? encoding.bits : 1;
  const largest = encoding.codec === "trellis" ? largestInteger(encoding.rotation) : (1 << bits) - 1;
  const count = scales.length / FLOAT_BYTES[encoding.scale];
  const clear = clearPattern(encoding.scale);
  for (let i = 0; i < count; i++) {
    const pattern = readBits(scales, encoding.scale, i);
    if (pattern === 0 && zero !== undefined) zero[i] = 1;
    // Nearly all are: without this, scales cost a quarter of the time that SHA-256 takes for the whole file.
    if (pattern < clear) continue;
    const scale = bitsToNumber(pattern, encoding.scale);
    if (scale >= 0 && !Object.is(scale, -0) && Number.isFinite(Math.fround(scale * largest))) continue;
    const enough = report(KIND.SCALE_VALUE, "scales", i * FLOAT_BYTES[encoding.scale], {
      component: Math.floor(i / groups),
      group: i % groups,
      expected: `+0 or more, and finite times ${largest}`,
      actual: Object.is(scale, -0) ? "-0" : String(scale),
    });
    // Which other scales are 0 matters to the canonical form alone, which a file of such scales does not have.
    if (enough) return;
  }
}

/**
 * That the codes, or the zero points, of whole components are in their canonical form.
 *
 * @param length weights of a component
 * @param zero for each group of these components 1 if its scale is 0
 */
export function checkPacked(
  encoding: ScaledEncoding,
  plane: "zeroPoints" | "codes",
  packed: Uint8Array,
  components: number,
  length: number,
  zero: Uint8Array,
  report: PlaneReport,
): void {
  if (plane === "zeroPoints") {
    if (encoding.codec !== "affine") return;
    const groups = groupCount(encoding.group, length);
    checkCodes(plane, packed, components, groups, encoding.bits, 1, zero, report);
    return;
  }
  let bits = encoding.codec === "affine" ? encoding.bits : 1;
  let fields = length;
  if (encoding.codec === "trellis") {
    const table = trellisTable(encoding.table);
    bits = table.stepBits;
    fields = trellisSteps(table, length);
  }
  const group = encoding.group === 0 ? fields : encoding.group;
  checkCodes(plane, packed, components, fields, bits, group, zero, report);
}

/** Codes of groups with scale 0 are all 0 (so each has exactly one form). */
function checkCodes(
  plane: "zeroPoints" | "codes",
  packed: Uint8Array,
  components: number,
  fields: number,
  bits: number,
  group: number,
  zeroScale: Uint8Array,
  report: PlaneReport,
): void {
  const groups = Math.ceil(fields / group);
  const bytes = packedBytes(fields, bits);
  for (let c = 0; c < components; c++) {
    for (let g = 0; g < groups; g++) {
      if (zeroScale[c * groups + g] === 0) continue;
      const end = Math.min((g + 1) * group, fields) * bits;
      checkZeroBits(plane, packed, c, g, c * bytes, g * group * bits, end, report);
    }
  }
}

/** Reports the first set bit among `from` … `end − 1`, counted from byte `base`, of a group whose scale is 0. */
function checkZeroBits(
  plane: "zeroPoints" | "codes",
  packed: Uint8Array,
  component: number,
  group: number,
  base: number,
  from: number,
  end: number,
  report: PlaneReport,
): void {
  const found = firstNonzero(packed, base, from, end);
  if (found < 0) return;
  report(KIND.NONCANONICAL_CODES, plane, found, {
    component,
    group,
    expected: "0, because the scale of the group is 0",
    actual: `byte 0x${packed[found]!.toString(16)}`,
  });
}

/** Offset of the first byte with a set bit among the bits `from` … `end` − 1 counted from byte `base`; −1 if none. */
function firstNonzero(packed: Uint8Array, base: number, from: number, end: number): number {
  for (let bit = from; bit < end; ) {
    const byte = base + (bit >>> 3);
    const low = bit & 7;
    const count = Math.min(8 - low, end - bit);
    if ((packed[byte]! & (((1 << count) - 1) << low)) !== 0) return byte;
    bit += count;
  }
  return -1;
}
