/**
 * Encodings: how the weights of one factor of one band are stored (spec clause 6.4). Plain data; the code for each encoding
 * is in the file of its codec, and `registry.ts` looks it up.
 *
 * @module
 */
import type { Rotation } from "./rotation.ts";

/** Storage type of a scale (spec 6.4). */
export type ScaleType = "f16" | "bf16";

/** Storage type of raw weights (spec 8.3). */
export type FloatType = "f32" | "f16" | "bf16";

/** What an encoding of A' has where its vectors have a start (spec 8.8). */
export interface MixedEncoding {
  /** Bits of the integers that mix the draws of the start, 1 to 8; absent where there is no start. */
  readonly mix?: number;
}

/** Nothing is stored; every weight is +0 (spec 8.2). */
export interface ZeroEncoding extends MixedEncoding {
  readonly codec: "zero";
}

/** Each weight is stored as itself (spec 8.3). */
export interface RawEncoding extends MixedEncoding {
  readonly codec: "raw";
  readonly element: FloatType;
}

/** Parameters shared by the codecs that have groups and scales (spec 8.1). */
export interface GroupedEncoding extends MixedEncoding {
  /** Weights that share a scale: a power of two from 16 to 1024, or 0 for the whole vector. */
  readonly group: number;
  readonly scale: ScaleType;
}

/** `bits`-bit unsigned codes q with a scale s and a `bits`-bit zero point z per group: value = (q − z)·s (spec 8.4). */
export interface AffineEncoding extends GroupedEncoding {
  readonly codec: "affine";
  /** 1 to 8. */
  readonly bits: number;
}

/** One bit per weight, 0 = +s and 1 = −s (spec 8.5). */
export interface SignEncoding extends GroupedEncoding {
  readonly codec: "sign";
}

/** Trellis-coded weights: value = s · T[window], or that of 64 weights rotated (spec 8.6). */
export interface TrellisEncoding extends GroupedEncoding {
  readonly codec: "trellis";
  /** Number of the normative table; it determines step bits, weights a step and window bits. */
  readonly table: number;
  readonly group: 0;
  readonly scale: "bf16";
  readonly rotation: Rotation;
}

export type Encoding = ZeroEncoding | RawEncoding | AffineEncoding | SignEncoding | TrellisEncoding;

/** The stored planes of one factor of one band. An absent plane has length 0. */
export interface Planes {
  /** Scales in component order, then group order, little-endian. */
  readonly scales: Uint8Array;
  /** Zero points, `bits` each, LSB-first, every component starting on a byte. */
  readonly zeroPoints: Uint8Array;
  /** Codes (or raw weights), LSB-first, every component starting on a byte. */
  readonly codes: Uint8Array;
}

/** Byte lengths of the planes of one factor of one band. */
export interface PlaneSizes {
  readonly scales: number;
  readonly zeroPoints: number;
  readonly codes: number;
}

/** Bytes of one value of a float or scale type. */
export const FLOAT_BYTES: Readonly<Record<FloatType, number>> = { f32: 4, f16: 2, bf16: 2 };

/** Number of groups in a component of `length` weights (spec 8.1): the last one may be short. */
export function groupCount(group: number, length: number): number {
  return group === 0 ? 1 : Math.ceil(length / group);
}
