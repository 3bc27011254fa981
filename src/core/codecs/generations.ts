/**
 * Decodes factors that add to those of a parent (spec clause 8.9.3): first the oldest, then each younger generation, which it
 * adds in place; with the kernel if there is one.
 *
 * @module
 */
import { GENERATIONS } from "../../limits.ts";
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import { decodeFactor, emptyPart, type FactorJob, factorJobs } from "./decode.ts";
import type { DecodeKernel } from "./kernels/decode-kernel.ts";
import { givenParent, hasStart, type PackedFactors, rankOf } from "./packed.ts";
import { decodeStarted } from "./start/decode-started.ts";

/** Both factors of each expert, of each generation, the oldest first. */
export interface GenerationJobs {
  readonly generations: readonly [PackedFactors, ...PackedFactors[]];
  readonly jobs: readonly (readonly (readonly [b: FactorJob, a: FactorJob])[])[];
}

/**
 * The jobs that decode a module with a parent.
 *
 * @param order order of the weights of B'
 * @param multiplier factor of B' after the last sum
 * @throws LqaError PARENT_MISSING; RangeError
 */
export function generationJobs(
  shape: ModuleShape,
  packed: PackedFactors,
  order: FactorJob["order"],
  multiplier: number,
): GenerationJobs {
  const generations = generationsOf(shape, packed);
  const jobs = generations.map((one, i) => {
    // A parent has zeros in the components that it lacks.
    const missing = shape.rank - rankOf(one.bands);
    const rest = missing === 0 ? [] : [emptyPart(missing)];
    const added = (job: FactorJob): FactorJob => ({ ...job, parts: [...job.parts, ...rest], add: i > 0 });
    return factorJobs(shape, one, order, one === packed ? multiplier : 1).map(
      ([b, a]) => [added(b), added(a)] as const,
    );
  });
  return { generations, jobs };
}

/**
 * Decodes the sums of all generations.
 *
 * @param b receives B' of all experts, in the order of the jobs
 * @param a receives A', `[experts][rank][in · kernel]`
 */
export function decodeGenerations(
  shape: ModuleShape,
  { generations: [oldest], jobs }: GenerationJobs,
  b: Float32Array,
  a: Float32Array,
  kernel?: DecodeKernel,
): void {
  const { rank, experts, out } = shape;
  const n = inputLength(shape);
  const start = hasStart(oldest.bands) ? oldest.start : undefined;
  if (start !== undefined) decodeStarted(oldest, start, n, a, kernel);
  for (let expert = 0; expert < experts; expert++) {
    const [toB, toA] = [expert * rank * out, expert * rank * n];
    for (const own of jobs) decodeFactor(own[expert]![0], b, toB, kernel);
    if (start !== undefined) a.fill(0, toA + rankOf(oldest.bands) * n, toA + rank * n);
    for (const own of start === undefined ? jobs : jobs.slice(1))
      decodeFactor(own[expert]![1], a, toA, kernel);
  }
}

/**
 * Packed factors and all their ancestors, the oldest first.
 *
 * @throws LqaError PARENT_MISSING
 * @throws RangeError for a parent with other experts or a larger rank, for too many generations, and for a missing start
 */
export function generationsOf(
  { name, rank, experts }: Pick<ModuleShape, "name" | "rank" | "experts">,
  packed: PackedFactors,
): [PackedFactors, ...PackedFactors[]] {
  const where = `module "${name}"`;
  const found: [PackedFactors, ...PackedFactors[]] = [packed];
  while (found[0].parent !== undefined) {
    const parent = givenParent(found[0].parent, name);
    if (
      parent.planes.length !== experts ||
      rankOf(parent.bands) > rankOf(found[0].bands) ||
      found.length > GENERATIONS.hard
    )
      throw new RangeError(`${where}: expected a parent of ${experts} experts and a rank up to ${rank}`);
    found.unshift(parent);
  }
  if (hasStart(found[0].bands) && found[0].start === undefined)
    throw new RangeError(`${where}: expected the start that its bands imply, found none`);
  return found;
}
