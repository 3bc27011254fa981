/**
 * The possible rates of a vector in the `rd` profile, and coding vectors at one of them.
 *
 * Trellis codes serve up to 4 bits, `affine` from 5 to 8, raw f16 above. A trellis vector has one scale, fitted to its
 * codes by least squares, so that x·x̂ = ‖x̂‖² and a later refit of the component's scale would gain nothing.
 *
 * @module
 */
import {
  decodePlanes,
  planeSizes,
  TRELLIS_TABLES,
  type TrellisTable,
  trellisRate,
} from "../../../core/format.ts";
import type { Encoding, Rotation } from "../../../core/index.ts";

import { CODERS, type Coded, ENCODINGS } from "../coders.ts";
import { searchFit } from "../fit.ts";
import type { Bundle } from "../groups.ts";
import type { Manner } from "./code-trellis.ts";

/** One rate. Rates are numbered by their place in {@link RATES}, by ascending bits. */
export interface Rate {
  /** Bits per weight, without scales. */
  readonly nominal: number;
  /** Distortion for Gaussian weights: the first guess before a vector is coded. */
  readonly distortion: number;
  /** The usual encoding; coding may choose another scale type. */
  encoding(rotation: Rotation): Encoding;
  /**
   * Codes vectors that are not all zero.
   *
   * @param manners for trellis codes, one for each vector
   * @throws LqaError SOURCE_RANGE
   */
  code(vectors: readonly Float32Array[], manners: readonly Manner[], where: string): Coded;
}

const AFFINE_GROUP = 128;
/** Measured with searched `affine` codes with zero points, in groups of 128, for Gaussian weights. */
const AFFINE_DISTORTION: readonly (readonly [bits: number, distortion: number])[] = [
  [5, 2.17e-3],
  [6, 5.43e-4],
  [7, 1.32e-4],
  [8, 3.29e-5],
];
/** Rounding to 11 significant bits: 2^-21 / 12 of the square, on average over a binade. */
const F16_DISTORTION = 4e-8;

/** All rates by ascending bits; number 0 stores nothing. */
export const RATES: readonly Rate[] = [
  {
    nominal: 0,
    distortion: 1,
    encoding: ENCODINGS.zero,
    code: (vectors) => CODERS.zero(vectors.length),
  },
  ...[...TRELLIS_TABLES.values()].sort((x, y) => trellisRate(x) - trellisRate(y)).map(tableRate),
  ...AFFINE_DISTORTION.map(affineRate),
  {
    nominal: 16,
    distortion: F16_DISTORTION,
    encoding: () => ENCODINGS.raw("f16"),
    code: (vectors, _manners, where) =>
      CODERS.raw(
        vectors.map((values) => ({
          ...{ values, components: 1, length: values.length },
          ...{ offset: 0, componentStride: values.length, weightStride: 1 },
        })),
        "f16",
        where,
      ),
  },
];

/**
 * Vectors of A' with a start have more rates: those of {@link RATES} for the rest after a mixture of the draws, and all of
 * them again for the next number of bits of the mixture.
 *
 * @returns the number in `RATES`, and the number of the mixture, which is undefined without a start
 */
export function splitRate(rate: number): [number: number, mixing: number | undefined] {
  const mixing = Math.floor(rate / RATES.length) - 1;
  return [rate % RATES.length, mixing < 0 ? undefined : mixing];
}

function tableRate(table: TrellisTable): Rate {
  return {
    nominal: trellisRate(table),
    distortion: table.distortion,
    encoding: (rotation) => ENCODINGS.trellis(table, rotation),
    code: (vectors, manners, where) => CODERS.trellis(vectors, table, manners, where),
  };
}

function affineRate([bits, distortion]: readonly [number, number]): Rate {
  const group = AFFINE_GROUP;
  return {
    nominal: bits,
    distortion,
    encoding: () => ENCODINGS.affine(bits, group, "f16"),
    code(vectors, _manners, where) {
      const bundles = vectors.map(
        (values): Bundle => ({
          values: Float64Array.from(values),
          from: 0,
          components: 1,
          length: values.length,
          group,
        }),
      );
      return CODERS.affine(bundles, bits, searchFit, where);
    },
  };
}

/** The expected distortion of codes; 0 if it is not known, as of codes of other profiles. */
export function distortionOf(encoding: Encoding): number {
  return RATES.find((rate) => codesOf(rate.encoding("none")) === codesOf(encoding))?.distortion ?? 0;
}

/** The codec with its table, bits or element type. */
function codesOf(encoding: Encoding): string {
  const value = (key: "table" | "bits" | "element"): unknown =>
    (encoding as Partial<Record<typeof key, unknown>>)[key];
  return `${encoding.codec} ${value("table")} ${value("bits")} ${value("element")}`;
}

/** Bits of the planes of a vector, by rate number. */
export function bitsOfRates(length: number): readonly number[] {
  return RATES.map((rate) => {
    const { scales, zeroPoints, codes } = planeSizes(rate.encoding("none"), 1, length);
    return 8 * (scales + zeroPoints + codes);
  });
}

/** Shared memory for all measurements: separate arrays would be garbage of several times the adapter. */
let scratch = new Float32Array(0);

/** The lost share of the energy of the vectors, with x̂ as a decoder computes it: Σ w (x − x̂)² / Σ w x², or by their metric. */
export function lostShare(
  vectors: readonly Float32Array[],
  { encoding, planes }: Coded,
  manners: readonly Manner[],
): number {
  let lost = 0;
  let energy = 0;
  vectors.forEach((values, i) => {
    if (scratch.length < values.length) scratch = new Float32Array(values.length);
    const decoded = scratch.subarray(0, values.length);
    const at = { offset: 0, componentStride: values.length, weightStride: 1 };
    decodePlanes(encoding, planes[i]!, 1, values.length, decoded, at);
    const { weights: own, metric } = manners[i]!;
    if (metric !== undefined) {
      for (let k = 0; k < values.length; k++) decoded[k]! -= values[k]!;
      lost += metric.energy(decoded);
      energy += metric.energy(values);
      return;
    }
    for (let k = 0; k < values.length; k++) {
      const weight = own === undefined ? 1 : own[k]!;
      const difference = values[k]! - decoded[k]!;
      lost += weight * difference * difference;
      energy += weight * values[k]! * values[k]!;
    }
  });
  return energy === 0 ? 0 : lost / energy;
}
