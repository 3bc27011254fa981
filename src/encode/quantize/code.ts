/**
 * Converts real-valued fits to planes: rounds scales to their storage type, then chooses codes for the rounded scales,
 * because a decoder multiplies by those (spec clauses 8.1, 8.4, 8.5). Raw weights have no fit: each is rounded once (8.3).
 *
 * A group whose codes would all mean 0 is stored in its one canonical form: scale, zero point and codes 0 (spec
 * clause 12). Such groups do not affect the choice of the scale type.
 *
 * @module
 */

import { FLOAT_BYTES, groupCount } from "../../core/format.ts";
import type { FloatType, Planes, ScaleType } from "../../core/index.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { bitsToNumber, numberToBits, packCodes, packedBytes, writeBits } from "../../floats.ts";
import { type Bundle, eachGroup, type GroupFit, roundEven, type Strided, signBit } from "./groups.ts";

/**
 * The storage type for the scales of one factor of one band: `f16`, unless a scale in use overflows it or
 * would be subnormal in it, then `bf16` for all. Products of codes with either are exact in binary32.
 *
 * @param largest largest |integer| of a code
 * @param where name in the error
 * @throws LqaError SOURCE_RANGE if a scale times `largest` overflows bf16 too
 */
export function chooseScaleType(fits: readonly GroupFit[], largest: number, where: string): ScaleType {
  let type: ScaleType = "f16";
  for (const { scales } of fits) {
    for (const scale of scales) {
      if (scale === 0) continue;
      const half = numberToBits(scale, "f16");
      if (half >= 0x400 && half < 0x7c00) continue;
      type = "bf16";
      const stored = bitsToNumber(numberToBits(scale, "bf16"), "bf16");
      if (!Number.isFinite(Math.fround(stored * largest))) fail(KIND.SOURCE_RANGE, { where, actual: scale });
    }
  }
  return type;
}

/** Sets the scale of a group to 0 if all of its weights round to 0, so that it does not affect the choice of the type. */
export function dropIdleGroups(bundle: Bundle, bits: number, fit: GroupFit): void {
  const { values } = bundle;
  const largest = (1 << bits) - 1;
  eachGroup(bundle, (start, end, g) => {
    const scale = fit.scales[g]!;
    const zeroPoint = fit.zeroPoints[g]!;
    for (let i = start; i < end; i++) {
      if (integerOf(values[i]!, scale, zeroPoint, largest) !== 0) return;
    }
    fit.scales[g] = 0;
  });
}

function integerOf(w: number, scale: number, zeroPoint: number, largest: number): number {
  if (scale === 0) return 0;
  return Math.min(Math.max(roundEven(w / scale), -zeroPoint), largest - zeroPoint);
}

/** Codes a bundle as `affine` with zero points. */
export function codeAffine(bundle: Bundle, bits: number, fit: GroupFit, type: ScaleType): Planes {
  const { values, components, length } = bundle;
  const groups = groupCount(bundle.group, length);
  const largest = (1 << bits) - 1;
  const base = bundle.from * length;
  const scales = new Uint8Array(components * groups * FLOAT_BYTES[type]);
  const zeroPoints = new Uint8Array(components * groups);
  const codes = new Uint8Array(components * length);
  eachGroup(bundle, (start, end, g) => {
    const pattern = numberToBits(fit.scales[g]!, type);
    const scale = bitsToNumber(pattern, type);
    if (scale === 0) return;
    const zeroPoint = fit.zeroPoints[g]!;
    const low = -zeroPoint;
    const high = largest - zeroPoint;
    let any = 0;
    for (let i = start; i < end; i++) {
      // Math.min and Math.max would take three times as long.
      let k = roundEven(values[i]! / scale);
      if (k < low) k = low;
      else if (k > high) k = high;
      any |= k;
      codes[i - base] = k + zeroPoint;
    }
    if (any === 0) {
      codes.fill(0, start - base, end - base);
      return;
    }
    writeBits(scales, type, g, pattern);
    zeroPoints[g] = zeroPoint;
  });
  return {
    scales,
    zeroPoints: packVectors(zeroPoints, components, groups, bits),
    codes: packVectors(codes, components, length, bits),
  };
}

/** Codes a bundle as `sign`; both zeros count as positive. */
export function codeSign(bundle: Bundle, fit: GroupFit, type: ScaleType): Planes {
  const { values, components, length } = bundle;
  const base = bundle.from * length;
  const scales = new Uint8Array(fit.scales.length * FLOAT_BYTES[type]);
  const codes = new Uint8Array(components * length);
  eachGroup(bundle, (start, end, g) => {
    const pattern = numberToBits(fit.scales[g]!, type);
    if (pattern === 0) return;
    writeBits(scales, type, g, pattern);
    for (let i = start; i < end; i++) codes[i - base] = signBit(values[i]!);
  });
  return { scales, zeroPoints: new Uint8Array(0), codes: packVectors(codes, components, length, 1) };
}

/**
 * Stores weights unquantized.
 *
 * @throws LqaError SOURCE_RANGE if a weight overflows the element type
 */
export function codeRaw(vectors: Strided, element: FloatType, where: string): Planes {
  const { values, components, length, offset, componentStride, weightStride } = vectors;
  const codes = new Uint8Array(components * length * FLOAT_BYTES[element]);
  for (let c = 0, to = 0; c < components; c++) {
    for (let i = 0; i < length; i++, to++) {
      const from = offset + c * componentStride + i * weightStride;
      const bits = numberToBits(values[from]!, element);
      if (element !== "f32" && !Number.isFinite(bitsToNumber(bits, element)))
        fail(KIND.SOURCE_RANGE, {
          where: `${where}, index ${from}`,
          expected: element,
          actual: values[from]!,
        });
      writeBits(codes, element, to, bits);
    }
  }
  return { scales: new Uint8Array(0), zeroPoints: new Uint8Array(0), codes };
}

function packVectors(codes: Uint8Array, components: number, length: number, bits: number): Uint8Array {
  const bytes = packedBytes(length, bits);
  const packed = new Uint8Array(components * bytes);
  for (let c = 0; c < components; c++) packCodes(codes, c * length, length, bits, packed, c * bytes);
  return packed;
}
