/**
 * What the codes of a parent have lost of its vectors, as far as its file tells: the difference of a child from it has this noise
 * besides what changed.
 *
 * A vector with codes of the distortion D lost D times the energy of what the codes decode to, because the file has it as long as the
 * original. A vector without codes of its own has the noise of the parent's parent.
 *
 * @module
 */
import { decodePlanes, rankOf, vectorLengths } from "../../../core/format.ts";
import type { Encoding, PackedFactors, Planes } from "../../../core/index.ts";
import type { ModuleShape } from "../../../model/adapter.ts";
import { distortionOf } from "../rd/rates.ts";

/** Expected energy of the errors of each vector of a module, `[experts][rank]`. */
export type Noise = Readonly<Record<"b" | "a", Float64Array>>;

/** The noise of a module. @param packed with its parents, if it has any */
export function noiseOf(
  shape: Pick<ModuleShape, "out" | "in" | "kernel" | "experts">,
  packed: PackedFactors,
): Noise {
  const { bands, planes, parent } = packed;
  const rank = rankOf(bands);
  const lengths = vectorLengths(shape, bands);
  const inherited = typeof parent === "object" ? noiseOf(shape, parent) : undefined;
  const inheritedRank = inherited === undefined ? 0 : inherited.b.length / shape.experts;
  const noise = { b: new Float64Array(shape.experts * rank), a: new Float64Array(shape.experts * rank) };
  for (let e = 0; e < shape.experts; e++)
    for (const factor of ["b", "a"] as const) {
      let c = 0;
      for (const [i, band] of bands.entries()) {
        const encoding = band[factor];
        const energies =
          encoding.codec === "zero"
            ? undefined
            : energiesOf(encoding, planes[e]![i]![factor], band.components, lengths[factor]);
        for (let k = 0; k < band.components; k++, c++)
          if (energies !== undefined) noise[factor][e * rank + c] = distortionOf(encoding) * energies[k]!;
          else if (c < inheritedRank)
            noise[factor][e * rank + c] = inherited![factor][e * inheritedRank + c]!;
      }
    }
  return noise;
}

/** The energy of what each vector decodes to. */
function energiesOf(encoding: Encoding, planes: Planes, components: number, length: number): Float64Array {
  const weights = new Float32Array(components * length);
  decodePlanes(encoding, planes, components, length, weights, {
    ...{ offset: 0, componentStride: length, weightStride: 1 },
  });
  return Float64Array.from({ length: components }, (_, k) => {
    let sum = 0;
    for (let i = k * length; i < (k + 1) * length; i++) sum += weights[i]! * weights[i]!;
    return sum;
  });
}
