/**
 * Encodings: how a file stores the weights of one factor of one band (spec clause 6.4). They are plain data; the code for
 * each encoding is in the file of its codec, and `registry.ts` looks it up.
 *
 * @module
 */
import type { FloatType } from "../../floats.ts";

export type { FloatType };

import type { Rotation } from "./rotation.ts";
import type { TrellisTable } from "./trellis.ts";

/** Storage type of a scale (spec 6.4). */
export type ScaleType = "f16" | "bf16";

/** The field that an encoding of A' has if its vectors have a start (spec 8.8). */
export interface MixedEncoding {
  /** Bits of the integers that mix the draws of the start, 4 or 8; absent without a start. */
  readonly mix?: number;
}

/** Stores nothing; every weight is +0 (spec 8.2). */
export interface ZeroEncoding extends MixedEncoding {
  readonly codec: "zero";
}

/** Stores each weight as a float (spec 8.3). */
export interface RawEncoding extends MixedEncoding {
  readonly codec: "raw";
  readonly element: FloatType;
}

/** Parameters of all codecs that have groups and scales (spec 8.1). */
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

/** Trellis-coded weights: value = s · T[window]. With a rotation, 64 integers T are mixed before s multiplies (spec 8.6). */
export interface TrellisEncoding extends GroupedEncoding {
  readonly codec: "trellis";
  /** Number of the normative table; it determines the bits and the weights of a step. */
  readonly table: number;
  readonly group: 0;
  readonly scale: "bf16";
  readonly rotation: Rotation;
}

/** How a file stores the weights of one factor of one band. */
export type Encoding = ZeroEncoding | RawEncoding | AffineEncoding | SignEncoding | TrellisEncoding;

/** The stored planes of one factor of one band. An absent plane has length 0. */
export interface Planes {
  /** Scales in component order, then group order, little-endian. */
  readonly scales: Uint8Array;
  /** Zero points of `bits` bits each, LSB-first. Every component starts on a byte. */
  readonly zeroPoints: Uint8Array;
  /** Codes, LSB-first, or raw weights, little-endian. Every component starts on a byte. */
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

// A lowered encoding: the common form of every codec's encodings (spec clauses 7.2 and 8.1).
//
// A component has fields of `bits` bits in its plane of codes. Each field holds `weights` weights. A component may have a
// scale and a zero point for each group of weights. Plane sizes, unused bits, checks, kernels, packed application and
// drawings derive from this form alone, independent of the codec. Nothing here reads bytes.

/**
 * How a field becomes weights. `nothing`: no field; weights are +0. `floats`: the field is the weight. `signs`: 0 is +scale, 1
 * is −scale. `codes`: (field − zero point) · scale. `windows`: the entry of `table` that this field and those before it select,
 * times the scale.
 */
export type Kind = "nothing" | "floats" | "signs" | "codes" | "windows";

/** A lowered encoding, as kernels and shaders take it (`kernels/parts/tile.as`, `webgpu/shaders/weights.ts`). */
export interface Lowered {
  readonly kind: Kind;
  /** Float type, only for `floats`. */
  readonly element: FloatType | undefined;
  /** Bits of a field of the plane of codes. */
  readonly bits: number;
  /** Number of weights in a field: 1 or 2. */
  readonly weights: number;
  /** Trellis table, only for `windows`. */
  readonly table: TrellisTable | undefined;
  /** Whether integers are rotated before the scale multiplies them (spec 8.6.1). */
  readonly rotated: boolean;
  /** Weights that share a scale: a power of two from 16 to 1024, or 0 for the whole vector. */
  readonly group: number;
  /** Type of the scales; undefined if the encoding has none. */
  readonly scale: ScaleType | undefined;
  /** Bits of the zero point of a group; 0 if the encoding has none. */
  readonly zeroBits: number;
  /** The largest magnitude of the integers that a scale multiplies, which bounds the scale (spec 8.1). */
  readonly largest: number;
}

/** The lowered form of an encoding that stores nothing. Codecs override the fields that differ. */
export const NOTHING: Lowered = {
  kind: "nothing",
  element: undefined,
  bits: 0,
  weights: 1,
  table: undefined,
  rotated: false,
  group: 0,
  scale: undefined,
  zeroBits: 0,
  largest: 0,
};

/** Numbers of the float types in kernels and shaders. */
export const FLOAT_NUMBERS: Readonly<Record<FloatType, number>> = { f32: 0, f16: 1, bf16: 2 };

const KIND_NUMBERS: Readonly<Record<Kind, number>> = {
  nothing: 0,
  floats: 1,
  signs: 2,
  codes: 3,
  windows: 4,
};
/** The kind number of rotated `windows`. */
export const ROTATED = 5;

/** The number of a kind in kernels and shaders. */
export function kindNumber({ kind, rotated }: Lowered): number {
  return rotated ? ROTATED : KIND_NUMBERS[kind];
}

/** Number of fields in a row of a plane; a row belongs to one component of `length` weights. */
export function fieldCount(
  { weights, group }: Lowered,
  plane: "zeroPoints" | "codes",
  length: number,
): number {
  return plane === "codes" ? Math.ceil(length / weights) : groupCount(group, length);
}

/** Byte lengths of the planes of `components` vectors of `length` weights (spec 7.2). */
export function sizesOf(lowered: Lowered, components: number, length: number): PlaneSizes {
  const { bits, weights, group, scale, zeroBits } = lowered;
  const groups = groupCount(group, length);
  return {
    scales: scale === undefined ? 0 : 2 * components * groups,
    zeroPoints: components * Math.ceil((groups * zeroBits) / 8),
    codes: components * Math.ceil((Math.ceil(length / weights) * bits) / 8),
  };
}

/** Decoded weights: `Float32Array` takes binary32 values, `Uint16Array` takes binary16 bit patterns. */
export type DecodeTarget = Float32Array | Uint16Array;

/**
 * Where the decoder writes weights: weight i of component c to `target[offset + c·componentStride + i·weightStride]`.
 *
 * Strides are (length, 1) for component after component, and (1, rank) for the transposed layout of B', `[out][rank]`.
 */
export interface Placement {
  readonly offset: number;
  readonly componentStride: number;
  readonly weightStride: number;
}

/**
 * The reference decoder of a kind defines, in code, the bits of one factor of one band (spec 8.1 to 8.7). A binary32 weight is
 * an exact product, so every engine computes the same; a binary16 weight is that value, rounded once to nearest even. Signs
 * of zero follow IEEE 754: a negative multiple of a zero scale is −0, and so is bit 1 of `signs`.
 *
 * It accepts any bits; `check.ts` checks whether the format allows them. The caller has checked plane lengths and target.
 *
 * @param components number of vectors in the planes
 * @param length weights of each vector
 * @param target its type selects the output
 */
export type ReferenceDecoder = (
  lowered: Lowered,
  planes: Planes,
  components: number,
  length: number,
  target: DecodeTarget,
  at: Placement,
) => void;
