/**
 * Jobs for the decode kernel, and what the plain decoder makes of them.
 *
 * @module
 */

import { decodePlain, FLOAT_BYTES, lower, planeSizes } from "../../src/core/format.ts";
import type { Encoding, FloatType, Planes } from "../../src/core/index.ts";
import { numberToBf16, numberToF16 } from "../helpers/floats.ts";

/** Planes of one encoding, and the number of their components. */
export interface FactorPart {
  readonly encoding: Encoding;
  readonly planes: Planes;
  readonly components: number;
}

/** A whole factor: its parts one after the other, by component or weight by weight. */
export interface FactorJob {
  readonly parts: readonly FactorPart[];
  readonly length: number;
  readonly order: "component" | "weight";
  readonly multiplier: number;
}

/**
 * A part of arbitrary bytes.
 *
 * @param bytes makes the planes
 * @param scale makes the scales; without it these are arbitrary bytes, too
 */
export function partOf(
  encoding: Encoding,
  components: number,
  length: number,
  bytes: (length: number) => Uint8Array,
  scale: (() => number) | undefined,
): FactorPart {
  const sizes = planeSizes(encoding, components, length);
  const planes = {
    codes: bytes(sizes.codes),
    scales: bytes(sizes.scales),
    zeroPoints: bytes(sizes.zeroPoints),
  };
  if (scale !== undefined && "scale" in encoding) {
    const scales = viewOf(planes.scales);
    for (let at = 0; at < sizes.scales; at += 2)
      scales.setUint16(at, (encoding.scale === "f16" ? numberToF16 : numberToBf16)(scale()), true);
  }
  if (encoding.codec === "raw") makeFinite(planes.codes, encoding.element);
  return { encoding, planes, components };
}

/** Clears a bit of each exponent that is all ones: a file has neither Inf nor NaN, and what becomes of one is not defined. */
function makeFinite(codes: Uint8Array, element: FloatType): void {
  const [mask, bit] = { f32: [0x7f800000, 0x800000], f16: [0x7c00, 0x400], bf16: [0x7f80, 0x80] }[
    element
  ] as [number, number];
  const view = viewOf(codes);
  for (let at = 0; at < codes.length; at += FLOAT_BYTES[element]) {
    const bits = element === "f32" ? view.getUint32(at, true) : view.getUint16(at, true);
    if ((bits & mask) !== mask) continue;
    if (element === "f32") view.setUint32(at, bits & ~bit, true);
    else view.setUint16(at, bits & ~bit, true);
  }
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength);

/** What the plain decoder makes of a job, as bits. */
export function plainly(
  { parts, length, order, multiplier }: FactorJob,
  wide: boolean,
): Uint32Array | Uint16Array {
  const all = parts.reduce((sum, part) => sum + part.components, 0);
  const values = wide || multiplier !== 1 ? new Float32Array(all * length) : new Uint16Array(all * length);
  let first = 0;
  for (const { encoding, planes, components } of parts) {
    const at =
      order === "component"
        ? { offset: first * length, componentStride: length, weightStride: 1 }
        : { offset: first, componentStride: 1, weightStride: all };
    decodePlain(lower(encoding), planes, components, length, values, at);
    first += components;
  }
  if (multiplier !== 1) for (let i = 0; i < values.length; i++) values[i] = values[i]! * multiplier;
  if (!(values instanceof Float32Array)) return values;
  return wide ? new Uint32Array(values.buffer) : Uint16Array.from(values, numberToF16);
}
