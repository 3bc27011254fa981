/**
 * The parents of an adapter's modules in the encoder (spec clause 8.9): modules of the parent by name, decoded.
 *
 * @module
 */
import { decodePlanes, rankOf, vectorLengths } from "../core/format.ts";
import { decodeModule, type Encoding, type LqaFile, type PackedFactors, type Planes } from "../core/index.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { GENERATIONS } from "../limits.ts";
import { comparable, type LoraModule, type ModuleShape } from "../model/adapter.ts";
import type { Noise, ParentFactors } from "./quantize/parent/align.ts";
import { distortionOf } from "./quantize/rd/rates.ts";

/** A parent's modules. */
export interface Parents {
  /** Content id of the parent, hexadecimal. */
  readonly id: string;
  /** By the name of the child's module: number of the parent's module in its file, and its factors. */
  readonly modules: ReadonlyMap<string, { readonly number: number; readonly factors: ParentFactors }>;
}

/**
 * Decodes the modules of a parent that can be parents of a child's modules: with equal name and shape, and no larger rank. Takes
 * four bytes per weight of them.
 *
 * @throws LqaError USAGE if no module fits; CORE_LIMIT if the parent has too many parents; as `verify` and `decode` of the file
 */
export async function decodeParents(
  modules: readonly LoraModule[],
  file: LqaFile,
  signal: AbortSignal | undefined,
): Promise<Parents> {
  const { contentId } = await file.verify({ signal });
  const generations = 1 + file.parents.length;
  if (generations > GENERATIONS.core)
    fail(KIND.CORE_LIMIT, {
      where: "parents one behind the other",
      expected: `at most ${GENERATIONS.core}`,
      actual: generations,
      advice: "Make the parent whole first: lqa rebase.",
    });
  const numbers = new Map(file.modules.map(({ name }, number) => [name, number]));
  const found = new Map<string, { number: number; factors: ParentFactors }>();
  for (const module of modules) {
    const number = numbers.get(module.name);
    const record = number === undefined ? undefined : file.modules[number]!;
    if (record === undefined || !fits(module, record)) continue;
    const packed = await file.packed(record, { signal });
    const { b, a } = decodeModule(record, packed, { layout: "component" });
    const noise = noiseOf(record, packed);
    found.set(module.name, { number: number!, factors: { rank: record.rank, b: b.data, a: a.data, noise } });
  }
  if (found.size === 0)
    fail(KIND.USAGE, {
      where: "parent",
      expected:
        "an adapter of the same base model, with modules of the same names and shapes and no larger ranks",
      actual: `${file.modules.length} modules, none of which fits`,
      advice: "Encode without a parent, or compare the names: lqa inspect --modules.",
    });
  return { id: contentId, modules: found };
}

function fits(module: ModuleShape, parent: ModuleShape): boolean {
  return comparable(module, parent) && parent.rank <= module.rank;
}

/**
 * What the codes of a module have lost of its vectors, as far as its file tells: the difference of a child has this noise besides
 * what changed.
 *
 * A vector with codes of the distortion D lost D times the energy of what the codes decode to, because the file has it as long as
 * the original. A vector that decodes to zero has the noise of the parent's parent.
 *
 * @param packed with its parents, if it has any
 */
function noiseOf(
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
        const distortion = distortionOf(encoding);
        for (const energy of energiesOf(encoding, planes[e]![i]![factor], band.components, lengths[factor])) {
          if (energy > 0) noise[factor][e * rank + c] = distortion * energy;
          else if (c < inheritedRank)
            noise[factor][e * rank + c] = inherited![factor][e * inheritedRank + c]!;
          c++;
        }
      }
    }
  return noise;
}

/** The energy of what each vector decodes to. */
function energiesOf(encoding: Encoding, planes: Planes, components: number, length: number): number[] {
  const weights = new Float32Array(components * length);
  decodePlanes(encoding, planes, components, length, weights, {
    ...{ offset: 0, componentStride: length, weightStride: 1 },
  });
  return Array.from({ length: components }, (_, k) => {
    let sum = 0;
    for (let i = k * length; i < (k + 1) * length; i++) sum += weights[i]! * weights[i]!;
    return sum;
  });
}
