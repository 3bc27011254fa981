/**
 * Groups: the weights that share a scale (spec clause 8.1), and the fit of each group.
 *
 * A group lies within one component; the last one of a component may be short and counts only its real entries.
 *
 * @module
 */
import { groupCount } from "../../core/format.ts";

/** Vectors with the same quantization: components `from` … `from + components − 1` of `[rank][length]`. */
export interface Bundle {
  readonly values: Float64Array;
  readonly from: number;
  readonly components: number;
  readonly length: number;
  /** Weights that share a scale; 0 for the whole vector. */
  readonly group: number;
}

/** Vectors in an array: weight i of component c is `values[offset + c · componentStride + i · weightStride]`. */
export interface Strided {
  readonly values: Float32Array;
  readonly components: number;
  readonly length: number;
  readonly offset: number;
  readonly componentStride: number;
  readonly weightStride: number;
}

/** One scale and zero point per group, `[components][groups]`. A scale of 0 means that all weights are 0. */
export interface GroupFit {
  readonly scales: Float64Array;
  readonly zeroPoints: Uint8Array;
}

/** Calls `visit(start, end, g)` with the bounds of each group in `values` and its index in a {@link GroupFit}. */
export function eachGroup(bundle: Bundle, visit: (start: number, end: number, g: number) => void): void {
  const { from, components, length } = bundle;
  const group = bundle.group === 0 ? length : bundle.group;
  let g = 0;
  for (let c = from; c < from + components; c++) {
    const end = (c + 1) * length;
    for (let start = c * length; start < end; start += group) visit(start, Math.min(start + group, end), g++);
  }
}

/** Makes a fit of zeros. */
export function emptyFit(bundle: Bundle): GroupFit {
  const groups = bundle.components * groupCount(bundle.group, bundle.length);
  return { scales: new Float64Array(groups), zeroPoints: new Uint8Array(groups) };
}

/** Rounds to nearest, ties to even, for magnitudes below 2^51; larger ones stay outside every code range. */
export function roundEven(x: number): number {
  return x + 6755399441055744 - 6755399441055744;
}

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);
/** Index of the half of a number that holds its sign. */
const HIGH = new Uint8Array(Float64Array.of(-2).buffer)[7] === 0xc0 ? 1 : 0;

/**
 * 1 for negative numbers, 0 for others including −0. Reads the bits, because the signs of weights are random and a
 * branch that is mispredicted every other time takes 8 times as long (4.4 instead of 0.6 ns, Node 20, 2026-11-25).
 */
export function signBit(x: number): number {
  float[0] = x + 0;
  return words[HIGH]! >>> 31;
}
