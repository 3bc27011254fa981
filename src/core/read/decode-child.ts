/**
 * Factors that are added to those of a parent (spec clause 8.9.3): the oldest are decoded first, and the others are added to them where
 * they are, by the kernel where there is one. Loaded with the first file that has a parent.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { GENERATIONS } from "../../limits.ts";
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import { decodeFactor, emptyPart, type FactorJob, storing } from "../codecs/decode.ts";
import { hasStart, type PackedFactors } from "../codecs/packed.ts";
import { startDecoder } from "../codecs/start/loaded.ts";
import { CHUNK_BUDGET, DecodeMemory } from "./budget.ts";
import {
  type DecodedModule,
  type DecodeOptions,
  decodeModule,
  jobsOf,
  targetsOf,
  useChildDecoder,
  type WeightType,
} from "./decode.ts";

/** Makes `decodeModule` decode children, on this thread. */
export function loadChildDecoder(): void {
  useChildDecoder(decodeChild);
}

/** As `decodeModule`, of factors with a parent. */
export function decodeChild<T extends WeightType = "f32">(
  shape: ModuleShape,
  packed: PackedFactors,
  options: DecodeOptions<T> = {},
): DecodedModule<T> {
  if (options.type === "f16") return decodeHalves(shape, packed, options);
  const { layout = "peft", multiplier = false } = options;
  const { rank, experts, out } = shape;
  const n = inputLength(shape);
  const where = `module "${shape.name}"`;
  const generations = generationsOf(shape, packed);
  const [oldest] = generations;
  const start = hasStart(oldest.bands) ? oldest.start : undefined;
  const jobs = generations.map((one, i) => {
    const factor = multiplier && one === packed ? shape.multiplier : 1;
    // A parent has zeros in the components that it lacks.
    const missing = rank - rankOf(one);
    const rest = missing === 0 ? [] : [emptyPart(missing)];
    const added = (job: FactorJob): FactorJob => ({ ...job, parts: [...job.parts, ...rest], add: i > 0 });
    return jobsOf(shape, one, layout, factor).map(([b, a]) => [added(b), added(a)] as const);
  });
  const { b, a, kernel, done } = targetsOf(shape, options, jobs.flat(2));
  if (start !== undefined) startDecoder(where)(oldest, start, n, a.view, kernel, rank * n);
  for (let expert = 0; expert < experts; expert++) {
    const [toB, toA] = [expert * rank * out, expert * rank * n];
    for (const own of jobs) decodeFactor(own[expert]![0], b.view, toB, kernel);
    if (start !== undefined) a.view.fill(0, toA + rankOf(oldest) * n, toA + rank * n);
    for (const own of start === undefined ? jobs : jobs.slice(1))
      decodeFactor(own[expert]![1], a.view, toA, kernel);
  }
  return done();
}

/** Where sums of binary32 are made that become binary16. Larger memory than {@link KEPT_BYTES} is let go of. */
let sums: DecodeMemory | undefined;
const KEPT_BYTES = 2 ** 25;

function decodeHalves<T extends WeightType>(
  shape: ModuleShape,
  packed: PackedFactors,
  options: DecodeOptions<T>,
): DecodedModule<T> {
  const { layout, multiplier, budgetBytes: most = CHUNK_BUDGET } = options;
  const bytes = 4 * shape.experts * shape.rank * (shape.out + inputLength(shape));
  if (bytes > most)
    fail(KIND.BUDGET, {
      where: `module "${shape.name}"`,
      expected: `at most ${most} bytes`,
      actual: bytes,
    });
  const memory = (sums ??= new DecodeMemory({ maxBytes: Number.POSITIVE_INFINITY }));
  const how = { memory, ...(layout && { layout }), ...(multiplier && { multiplier }) };
  const wide = decodeModule(shape, packed, how);
  if (memory.heldBytes > KEPT_BYTES) sums = undefined;
  const [b, a] = [storing(wide.b.data), storing(wide.a.data)];
  const targets = targetsOf(shape, options, [b, a]);
  decodeFactor(b, targets.b.view, 0, targets.kernel);
  decodeFactor(a, targets.a.view, 0, targets.kernel);
  return targets.done();
}

/** Packed factors and those they are added to, the oldest first. @throws LqaError PARENT_MISSING; RangeError */
export function generationsOf(
  { name, rank, experts }: Pick<ModuleShape, "name" | "rank" | "experts">,
  packed: PackedFactors,
): [PackedFactors, ...PackedFactors[]] {
  const where = `module "${name}"`;
  const found: [PackedFactors, ...PackedFactors[]] = [packed];
  for (let { parent } = packed; parent !== undefined; { parent } = parent) {
    if (typeof parent === "string")
      fail(KIND.PARENT_MISSING, { where, expected: `the file with content id ${parent}`, actual: "none" });
    if (
      parent.planes.length !== experts ||
      rankOf(parent) > rankOf(found[0]) ||
      found.length > GENERATIONS.hard
    )
      throw new RangeError(`${where}: expected a parent of ${experts} experts and a rank up to ${rank}`);
    found.unshift(parent);
  }
  if (hasStart(found[0].bands) && found[0].start === undefined)
    throw new RangeError(`${where}: expected the start that its bands imply, found none`);
  return found;
}

function rankOf({ bands }: PackedFactors): number {
  return bands.reduce((sum, { components }) => sum + components, 0);
}
