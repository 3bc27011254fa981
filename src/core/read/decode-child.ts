/**
 * Decodes modules with a parent. Readers import this file with the first file that has a parent.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import { decodeFactor, storing } from "../codecs/decode.ts";
import { decodeGenerations, generationJobs } from "../codecs/generations.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { CHUNK_BUDGET, DecodeMemory } from "./budget.ts";
import {
  type DecodedModule,
  type DecodeOptions,
  decodeModule,
  orderOf,
  targetsOf,
  useChildDecoder,
  type WeightType,
} from "./decode.ts";

/** Enables `decodeModule` to decode children, in this thread. */
export function loadChildDecoder(): void {
  useChildDecoder(decodeChild);
}

/** As `decodeModule`, for factors with a parent. */
export function decodeChild<T extends WeightType = "f32">(
  shape: ModuleShape,
  packed: PackedFactors,
  options: DecodeOptions<T> = {},
): DecodedModule<T> {
  if (options.type === "f16") return decodeHalves(shape, packed, options);
  const { layout = "peft", multiplier = false } = options;
  const work = generationJobs(shape, packed, orderOf(layout), multiplier ? shape.multiplier : 1);
  const { b, a, kernel, done } = targetsOf(shape, options, work.jobs.flat(2));
  decodeGenerations(shape, work, b.view as Float32Array, a.view as Float32Array, kernel);
  return done();
}

/** Memory for the binary32 sums that become binary16. */
let sums: DecodeMemory | undefined;
/** Most bytes of that memory that stay allocated after a call. */
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
