/**
 * Starts: rows of A' that begin at mixed draws of a generator (spec clause 8.8).
 *
 * A vector of A' with a start is the vector that its own planes code, the _rest_, plus Σ over k of R[k] · draw[k] · 2^-15. Here
 * draw[k] are the draws of row k of the module's start, and R is a vector of `rank` weights, stored as `affine` with one scale.
 *
 * The sum of integers fits in 32 bits, because the rank is at most 256, and its product with the scale is exact in binary64. The
 * sum with the rest rounds to binary64, then to binary32. So the order in which a reader adds does not matter.
 *
 * @module
 */

import { bitsToNumber, readBits } from "../../../floats.ts";
import type { MixedEncoding } from "../encoding.ts";
import type { PackedBand } from "../packed.ts";

/** Most bytes of draws in memory at a time. */
export const DRAW_BYTES: number = 2 ** 23;

/** Columns of a matrix of draws `[rank][length]` to make at a time: all if they fit in {@link DRAW_BYTES}, else a multiple of 8. */
export function columnsAtOnce(rank: number, length: number): number {
  const fit = Math.floor(DRAW_BYTES / (2 * rank));
  return length <= fit ? length : fit & ~7;
}

/** A draw of 1, as a weight. */
export const DRAW_UNIT: number = 2 ** -15;

/** The vectors R of a module. */
export interface Mixture {
  readonly rank: number;
  /** Numbers of the components that have a vector R: first those whose vector is added to its rest. */
  readonly components: readonly number[];
  /** How many are added to their rest. The rests of the others are 0, and their sums of draws are exact in binary32. */
  readonly added: number;
  /** Their integers q − z, `[components][rank]`. */
  readonly integers: Int16Array;
  /** Their scales, times {@link DRAW_UNIT}. */
  readonly scales: Float64Array;
}

/** What this file needs to know of a band: its number of components, the bits of their mixtures, and the codec of their rests. */
interface MixBand {
  readonly components: number;
  readonly a: Pick<MixedEncoding, "mix"> & { readonly codec?: string };
}

/** Largest sum of absolute integers whose sum of draws is exact in binary32. */
const EXACT = 2 ** 24 * DRAW_UNIT;

/** Unpacks the vectors R of a module. @param planes those of its bands */
export function readMixture(
  bands: readonly MixBand[],
  planes: readonly Pick<PackedBand, "mix">[],
  rank: number,
): Mixture {
  /** Whether the vectors of each band are replaced. */
  const replaced = bands.map(
    ({ a }) => a.mix !== undefined && a.codec === "zero" && rank * (2 ** a.mix - 1) <= EXACT,
  );
  let count = 0;
  let added = 0;
  for (const [i, { a, components }] of bands.entries()) {
    if (a.mix === undefined) continue;
    count += components;
    if (!replaced[i]) added += components;
  }
  const numbers = new Array<number>(count);
  const integers = new Int16Array(count * rank);
  const scales = new Float64Array(count);
  let nextAdded = 0;
  let nextReplaced = added;
  let component = 0;
  for (const [i, { a, components }] of bands.entries()) {
    const bits = a.mix;
    if (bits !== undefined) {
      const { scales: own, zeroPoints, codes } = planes[i]!.mix!;
      const largest = (1 << bits) - 1;
      const each = Math.ceil((rank * bits) / 8);
      for (let c = 0; c < components; c++) {
        const row = replaced[i] ? nextReplaced++ : nextAdded++;
        numbers[row] = component + c;
        scales[row] = bitsToNumber(readBits(own, "bf16", c), "bf16") * DRAW_UNIT;
        const zeroPoint = zeroPoints[c]! & largest;
        for (let k = 0, at = c * each, word = 0, left = 0; k < rank; k++, left -= bits, word >>>= bits) {
          if (left < bits) {
            word |= codes[at++]! << left;
            left += 8;
          }
          integers[row * rank + k] = (word & largest) - zeroPoint;
        }
      }
    }
    component += components;
  }
  return { rank, components: numbers, added, integers, scales };
}

/**
 * Adds the mixed draws to vectors that hold their rests, or to some columns of them.
 *
 * @param draws draws of these columns, `[rank][length]`
 * @param target has the columns of the first component from `offset` on
 * @param apart weights from one component to the next
 */
export function addMixture(
  { rank, components, integers, scales }: Mixture,
  draws: Int16Array,
  length: number,
  target: Float32Array,
  offset: number,
  apart: number = length,
): void {
  const sums = new Int32Array(length);
  for (const [c, component] of components.entries()) {
    sums.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = integers[c * rank + k]!;
      if (factor === 0) continue;
      const from = k * length;
      for (let i = 0; i < length; i++) sums[i]! += factor * draws[from + i]!;
    }
    const to = offset + component * apart;
    for (let i = 0; i < length; i++) target[to + i] = target[to + i]! + scales[c]! * sums[i]!;
  }
}
