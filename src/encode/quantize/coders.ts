/**
 * The encoder's table of codecs: the only place that makes encodings and codes vectors with each. The files of fits and codes
 * (`code.ts`, `rd/code-trellis.ts`) define a codec's planes; the profiles choose the codec of a band.
 *
 * Experts share a band's encodings (spec clause 6.5), so each coder takes the vectors of all of them, and chooses one scale type
 * for all: f16, or bf16 if a scale overflows f16 or would be subnormal in it.
 *
 * @module
 */

import type { TrellisTable } from "../../core/format.ts";
import type { Encoding, FloatType, Planes, Rotation, ScaleType } from "../../core/index.ts";
import { chooseScaleType, codeAffine, codeRaw, codeSign, dropIdleGroups } from "./code.ts";
import { signFit } from "./fit.ts";
import type { Bundle, GroupFit, Strided } from "./groups.ts";
import { codeTrellis, type Manner, TRELLIS_SCALE } from "./rd/code-trellis.ts";

/** Coded vectors: one encoding, and planes for each bundle or vector. */
export interface Coded {
  readonly encoding: Encoding;
  readonly planes: readonly Planes[];
  /** The share of the energy of the vectors that is lost, if coding finds it. */
  readonly lost?: number;
}

/** Makes encodings. */
export const ENCODINGS = {
  zero: (): Encoding => ({ codec: "zero" }),
  raw: (element: FloatType): Encoding => ({ codec: "raw", element }),
  affine: (bits: number, group: number, scale: ScaleType): Encoding => ({
    codec: "affine",
    bits,
    group,
    scale,
  }),
  sign: (group: number, scale: ScaleType): Encoding => ({ codec: "sign", group, scale }),
  trellis: ({ number }: TrellisTable, rotation: Rotation): Encoding => ({
    codec: "trellis",
    table: number,
    group: 0,
    scale: TRELLIS_SCALE,
    rotation,
  }),
};

const none = new Uint8Array(0);

/** Codes vectors. `where` is the name in errors. */
export const CODERS = {
  /** Vectors that are or become 0. */
  zero(count: number): Coded {
    const planes = { scales: none, zeroPoints: none, codes: none };
    return { encoding: ENCODINGS.zero(), planes: Array.from({ length: count }, () => planes) };
  },

  /** @throws LqaError SOURCE_RANGE if a weight overflows the element type */
  raw(vectors: readonly Strided[], element: FloatType, where: string): Coded {
    return {
      encoding: ENCODINGS.raw(element),
      planes: vectors.map((vector) => codeRaw(vector, element, where)),
    };
  },

  /**
   * Affine codes with zero points.
   *
   * @param bundles all with the same group size
   * @param fitOf finds scales and zero points
   * @throws LqaError SOURCE_RANGE if a scale overflows bf16
   */
  affine(
    bundles: readonly Bundle[],
    bits: number,
    fitOf: (bundle: Bundle, bits: number) => GroupFit,
    where: string,
  ): Coded {
    const fits = bundles.map((bundle) => {
      const fit = fitOf(bundle, bits);
      dropIdleGroups(bundle, bits, fit);
      return fit;
    });
    const scale = chooseScaleType(fits, (1 << bits) - 1, where);
    return {
      encoding: ENCODINGS.affine(bits, bundles[0]!.group, scale),
      planes: bundles.map((bundle, i) => codeAffine(bundle, bits, fits[i]!, scale)),
    };
  },

  /** Scales by `signFit`. @throws LqaError SOURCE_RANGE if a scale overflows bf16 */
  sign(bundles: readonly Bundle[], where: string): Coded {
    const fits = bundles.map(signFit);
    const scale = chooseScaleType(fits, 1, where);
    return {
      encoding: ENCODINGS.sign(bundles[0]!.group, scale),
      planes: bundles.map((bundle, i) => codeSign(bundle, fits[i]!, scale)),
    };
  },

  /**
   * Trellis codes with one scale per vector.
   *
   * @param manners one for each vector, with one rotation
   * @throws LqaError SOURCE_RANGE if a scale overflows bf16
   */
  trellis(
    vectors: readonly Float32Array[],
    table: TrellisTable,
    manners: readonly Manner[],
    where: string,
  ): Coded {
    const found = vectors.map((vector, i) => codeTrellis(vector, table, manners[i]!, where));
    const [{ once, rotation, weights }] = manners as readonly [Manner];
    const energy = found.reduce((sum, own) => sum + own.energy, 0);
    const kept = found.reduce((sum, own) => sum + own.kept * own.energy, 0);
    return {
      encoding: ENCODINGS.trellis(table, rotation),
      planes: found.map(({ planes }) => planes),
      // Before the scale is rounded, which changes it by less than 10⁻⁵.
      ...(once === true &&
        (weights === undefined || rotation === "none") && { lost: energy > 0 ? 1 - kept / energy : 0 }),
    };
  },
};
