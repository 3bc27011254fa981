/**
 * One factor of one band, for all experts of a module: their vectors in, one encoding and everybody's planes out.
 *
 * Experts share a band's encodings (spec clause 6.5), so the scale type is chosen over all of them: f16, or bf16 where
 * a scale overflows f16 or would be subnormal in it.
 *
 * @module
 */
import type { Encoding, Planes } from "../../core/codecs/encoding.ts";
import { chooseScaleType, codeAffine, codeSign, dropIdleGroups } from "./code.ts";
import { signFit } from "./fit.ts";
import type { Bundle, Fit } from "./groups.ts";

/** A coded factor: planes by expert. */
export interface CodedFactor {
  readonly encoding: Encoding;
  readonly planes: readonly Planes[];
}

/**
 * `affine` with zero points.
 *
 * @param bundles of each expert; all with the same group
 * @param fitOf how scales and zero points are found
 * @param where named in the error
 * @throws LqaError SOURCE_RANGE if a scale overflows bf16
 */
export function affineFactor(
  bundles: readonly Bundle[],
  bits: number,
  fitOf: (bundle: Bundle, bits: number) => Fit,
  where: string,
): CodedFactor {
  const fits = bundles.map((bundle) => {
    const fit = fitOf(bundle, bits);
    dropIdleGroups(bundle, bits, fit);
    return fit;
  });
  const scale = chooseScaleType(fits, (1 << bits) - 1, where);
  return {
    encoding: { codec: "affine", bits, group: bundles[0]!.group, scale },
    planes: bundles.map((bundle, e) => codeAffine(bundle, bits, fits[e]!, scale)),
  };
}

/** `sign`, scales by `signFit`. @throws LqaError SOURCE_RANGE if a scale overflows bf16 */
export function signFactor(bundles: readonly Bundle[], where: string): CodedFactor {
  const fits = bundles.map(signFit);
  const scale = chooseScaleType(fits, 1, where);
  return {
    encoding: { codec: "sign", group: bundles[0]!.group, scale },
    planes: bundles.map((bundle, e) => codeSign(bundle, fits[e]!, scale)),
  };
}

/** `zero`, for vectors that are or become 0. */
export function zeroFactor(experts: number): CodedFactor {
  const none = new Uint8Array(0);
  const planes = { scales: none, zeroPoints: none, codes: none };
  return { encoding: { codec: "zero" }, planes: Array.from({ length: experts }, () => planes) };
}
