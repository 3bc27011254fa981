/**
 * Checks that the sums of a module and its parents are finite in binary32 (spec clause 8.9.3), without decoding them where
 * their scales show it: then it takes time in proportion to the scales.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { bitsToNumber, readBits } from "../../floats.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import { nonfiniteElement } from "./check.ts";
import { decodePlain } from "./decode.ts";
import { FLOAT_BYTES, type Lowered, type Planes, sizesOf } from "./encoding.ts";
import { generationsOf } from "./generations.ts";
import { FACTOR_NAMES, hasStart, lowerFactor, type PackedFactors, rankOf, vectorLengths } from "./packed.ts";
import { decodeStarted } from "./start/decode-started.ts";

/** Sums whose terms are together below this cannot overflow, rounding included. */
const SAFE = 2 ** 127;

/** A vector of one generation: its planes, and a bound of its weights. */
interface Term {
  readonly lowered: Lowered;
  readonly planes: Planes;
  readonly bound: number;
}

/**
 * Checks the sums of all weights of a module with its parents. Does nothing if it has no parent, or if that was not given.
 *
 * @throws LqaError NONFINITE_VALUE
 */
export function checkSums(shape: ModuleShape, packed: PackedFactors, offset?: number): void {
  if (packed.parent === undefined) return;
  for (let last: PackedFactors = packed; last.parent !== undefined; last = last.parent)
    if (typeof last.parent === "string") return;
  const generations = generationsOf(shape, packed);
  for (let expert = 0; expert < shape.experts; expert++)
    for (const factor of ["b", "a"] as const) {
      const terms = generations.map((one) => termsOf(one, expert, factor, shape));
      const length = vectorLengths(shape, packed.bands)[factor];
      /** Vectors of the oldest generation with a start, if a sum needs one. */
      let started: Float32Array | undefined;
      const [oldest] = generations;
      for (let c = 0; c < shape.rank; c++) {
        const own = terms.flatMap((vectors) => vectors[c] ?? []).filter(({ bound }) => bound > 0);
        if (own.length < 2 || own.reduce((sum, { bound }) => sum + bound, 0) < SAFE) continue;
        const [sums, values] = [new Float32Array(length), new Float32Array(length)];
        for (const [i, vectors] of terms.entries()) {
          const term = vectors[c];
          if (term === undefined) continue;
          if (i === 0 && factor === "a" && hasStart(oldest.bands)) {
            if (started === undefined) {
              started = new Float32Array(rankOf(oldest.bands) * length);
              decodeStarted(oldest, oldest.start!, length, started);
            }
            values.set(started.subarray(c * length, (c + 1) * length));
          } else
            decodePlain(term.lowered, term.planes, 1, length, values, {
              offset: 0,
              componentStride: length,
              weightStride: 1,
            });
          for (let k = 0; k < length; k++) sums[k] = sums[k]! + values[k]!;
        }
        if (sums.every(Number.isFinite)) continue;
        fail(KIND.NONFINITE_VALUE, {
          where: `${FACTOR_NAMES[factor]} of module "${shape.name}", component ${c}`,
          offset,
          expected: "a finite sum with its parent",
          actual: "one that overflows binary32",
        });
      }
    }
}

/** The vectors of a factor of a generation. */
function termsOf(
  { bands, planes }: PackedFactors,
  expert: number,
  factor: "b" | "a",
  shape: ModuleShape,
): Term[] {
  const length = vectorLengths(shape, bands)[factor];
  const rank = rankOf(bands);
  return bands.flatMap((band, i) => {
    const own = planes[expert]![i]!;
    const lowered = lowerFactor(band, factor);
    const sizes = sizesOf(lowered, 1, length);
    const mix = factor === "a" ? own.mix : undefined;
    return Array.from({ length: band.components }, (_, c): Term => {
      const cut = (plane: keyof Planes): Uint8Array =>
        own[factor][plane].subarray(c * sizes[plane], (c + 1) * sizes[plane]);
      const vector = { codes: cut("codes"), scales: cut("scales"), zeroPoints: cut("zeroPoints") };
      // A draw is at most 1 in magnitude, and an integer of a mixture at most 255.
      const mixed = band.a.mix === undefined || mix === undefined ? 0 : 255 * rank * valueAt(mix.scales, c);
      return { lowered, planes: vector, bound: boundOf(lowered, vector) + mixed };
    });
  });
}

function valueAt(scales: Uint8Array, i: number): number {
  return bitsToNumber(readBits(scales, "bf16", i), "bf16");
}

/** A number that no weight of a vector exceeds in magnitude. */
function boundOf({ kind, element, scale, largest }: Lowered, { codes, scales }: Planes): number {
  if (kind === "nothing") return 0;
  const [bytes, type] = element === undefined ? [scales, scale!] : [codes, element];
  let most = 0;
  for (let i = bytes.length / FLOAT_BYTES[type]; i-- > 0; )
    most = Math.max(most, Math.abs(bitsToNumber(readBits(bytes, type, i), type)));
  return element === undefined ? most * largest : most;
}

/**
 * Checks that binary16 weights of a factor with a start or a parent are finite.
 *
 * @param weights bit patterns
 * @throws LqaError NONFINITE_VALUE
 */
export function checkHalves(weights: Uint16Array, where: string): void {
  const bytes = new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength);
  if (nonfiniteElement("F16", bytes) >= 0)
    fail(KIND.NONFINITE_VALUE, {
      where,
      expected: "sums that fit in binary16",
      actual: "one of 65520 or more",
      advice: "Decode this module to f32.",
    });
}
