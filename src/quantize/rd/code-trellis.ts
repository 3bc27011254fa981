/**
 * Trellis-coded vectors: find the codes for a scale, then the scale for the codes (spec clause 8.6).
 *
 * The first scale is the one that suits Gaussian weights of the vector's root mean square; the least-squares scale of
 * the codes found with it is used to find them once more, and is then fitted a last time and rounded to its storage
 * type. Codes are chosen before that rounding, which moves every weight by at most 2^-11 of itself.
 *
 * @module
 */
import { numberToBits, writeBits } from "../../codecs/elements.ts";
import { FLOAT_BYTES } from "../../codecs/encoding.ts";
import { LARGEST_ENTRY, type TrellisTable } from "../../codecs/trellis.ts";
import { encodeTrellis, type TrellisCodes } from "../../codecs/viterbi.ts";
import { chooseScaleType } from "../code.ts";
import type { Coded } from "./rates.ts";

/** Times the codes are found. */
const ROUNDS = 2;

/**
 * Codes vectors with one scale each.
 *
 * @throws LqaError SOURCE_RANGE if a scale overflows bf16
 */
export function codeTrellis(vectors: readonly Float32Array[], table: TrellisTable, where: string): Coded {
  const fits = vectors.map((values) => fitVector(values, table));
  const scales = fits.map(({ scale }) => ({
    scales: Float64Array.of(scale),
    zeroPoints: new Uint8Array(1),
  }));
  const scale = chooseScaleType(scales, LARGEST_ENTRY, where);
  const none = new Uint8Array(0);
  return {
    encoding: { codec: "trellis", table: table.number, group: 0, scale },
    planes: fits.map((found) => {
      const stored = new Uint8Array(FLOAT_BYTES[scale]);
      const pattern = numberToBits(found.scale, scale);
      // A scale that underflows makes every weight 0: then so are the codes (spec 12.4).
      if (pattern === 0)
        return { scales: stored, zeroPoints: none, codes: new Uint8Array(found.codes.length) };
      writeBits(stored, scale, 0, pattern);
      return { scales: stored, zeroPoints: none, codes: found.codes };
    }),
  };
}

function fitVector(values: Float32Array, table: TrellisTable): { scale: number; codes: Uint8Array } {
  let energy = 0;
  for (const value of values) energy += value * value;
  let scale = table.unit * Math.sqrt(energy / values.length);
  let codes: TrellisCodes | undefined;
  for (let round = 0; round < ROUNDS && scale > 0; round++) {
    const scaled = new Float32Array(values.length);
    for (let i = 0; i < values.length; i++) scaled[i] = values[i]! / scale;
    codes = encodeTrellis(scaled, table);
    scale = leastSquares(values, codes.values);
  }
  if (codes === undefined || !(scale > 0))
    return {
      scale: 0,
      codes: encodeTrellis(
        values.map(() => 0),
        table,
      ).bits.fill(0),
    };
  return { scale, codes: codes.bits };
}

/** The scale s that minimises ‖x − s t‖². */
function leastSquares(x: Float32Array, t: Int8Array): number {
  let inner = 0;
  let square = 0;
  for (let i = 0; i < x.length; i++) {
    inner += x[i]! * t[i]!;
    square += t[i]! * t[i]!;
  }
  return square === 0 ? 0 : inner / square;
}
