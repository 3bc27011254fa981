/**
 * Decodes modules with a parent, and enables the decoder of starts. Readers import this file with the first file that has a parent
 * or a start.
 *
 * @module
 */

import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import { type DecodeTarget, decodeFactor, storing } from "../codecs/decode.ts";
import { decodeGenerations, generationJobs } from "../codecs/generations.ts";
import type { DecodeKernel } from "../codecs/kernels/decode-kernel.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { decodeStarted } from "../codecs/start/decode-started.ts";
import type { ModuleStart } from "../codecs/start/start.ts";
import { checkHalves } from "../codecs/sums.ts";
import { allocateBytes, assertSums } from "./budget.ts";
import {
  type DecodedModule,
  type DecodeOptions,
  decodeModule,
  orderOf,
  targetsOf,
  useDecoders,
  type WeightType,
} from "./decode.ts";

/** Enables `decodeModule` to decode factors with a start or a parent, in this thread. */
export function loadDecoders(): void {
  useDecoders({ started: decodeWithStart, child: decodeChild });
}

/** Decodes A' of a module with a start. @throws LqaError NONFINITE_VALUE for sums that binary16 cannot hold */
export function decodeWithStart(
  shape: ModuleShape,
  packed: PackedFactors,
  start: ModuleStart,
  target: DecodeTarget,
  kernel?: DecodeKernel,
): void {
  decodeStarted(packed, start, inputLength(shape), target, kernel);
  if (target instanceof Uint16Array) checkHalves(target, `A' of module "${shape.name}"`);
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
let sums: ArrayBuffer | undefined;
/** Most bytes of that memory that stay allocated after a call. */
const KEPT_BYTES = 2 ** 25;

function decodeHalves<T extends WeightType>(
  shape: ModuleShape,
  packed: PackedFactors,
  options: DecodeOptions<T>,
): DecodedModule<T> {
  const { layout, multiplier } = options;
  const vectors = shape.experts * shape.rank;
  const lengths = [vectors * shape.out, vectors * inputLength(shape)] as const;
  const bytes = 4 * (lengths[0] + lengths[1]);
  const where = `module "${shape.name}"`;
  assertSums(bytes, shape, options.budgetBytes);
  const memory = sums !== undefined && sums.byteLength >= bytes ? sums : allocateBytes(bytes, where);
  sums = bytes > KEPT_BYTES ? undefined : memory;
  const into = {
    b: new Float32Array(memory, 0, lengths[0]),
    a: new Float32Array(memory, 4 * lengths[0], lengths[1]),
  };
  decodeModule(shape, packed, { into, ...(layout && { layout }), ...(multiplier && { multiplier }) });
  const [b, a] = [storing(into.b), storing(into.a)];
  const targets = targetsOf(shape, options, [b, a]);
  decodeFactor(b, targets.b.view, 0, targets.kernel);
  decodeFactor(a, targets.a.view, 0, targets.kernel);
  checkHalves(targets.b.view as Uint16Array, `B' of ${where}`);
  checkHalves(targets.a.view as Uint16Array, `A' of ${where}`);
  return targets.done();
}
