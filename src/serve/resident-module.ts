/**
 * A module in its serving form: its shape, its band plan and the payload of its chunk, uncompressed and otherwise as in
 * the file. Nothing else is resident; there is no object per plane.
 *
 * @module
 */

import { assemblePayload, assertApplicable, hasStart, type ResidentModule, rankOf } from "../core/format.ts";
import type { PackedFactors } from "../core/index.ts";
import { drawsOf, givenParent } from "../core/rooms.ts";

import { GENERATIONS } from "../limits.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";
import { type ApplyProgram, programOf } from "./program.ts";

/**
 * Makes a module from the result of `packed` of an open file or a stream. Copies the planes, so the file may be released. If A'
 * has a start, generates its draws: two bytes per weight of A'. Also copies the planes of a parent; modules in a pool share them.
 *
 * @throws LqaError CANNOT_APPLY for embeddings; PARENT_MISSING for factors without their parent; RangeError if planes do not fit
 *   the shape
 */
export function residentModule(shape: ModuleShape, factors: PackedFactors): ResidentModule {
  assertApplicable(shape);
  const { parent } = factors;
  const module = {
    shape,
    bands: factors.bands,
    payload: assemblePayload(shape, factors),
    ...(parent !== undefined && { parent: residentParent(shape, parent) }),
  };
  if (factors.start === undefined) return module;
  const draws = drawsOf(factors.start, new Int16Array(drawCount(shape)));
  return { ...module, start: { ...factors.start, draws } };
}

/** Number of draws of a module with a start. */
export function drawCount(shape: ModuleShape): number {
  return shape.experts * shape.rank * inputLength(shape);
}

/** @throws LqaError PARENT_MISSING; as {@link residentModule} */
function residentParent(shape: ModuleShape, parent: PackedFactors | string): ResidentModule {
  const factors = givenParent(parent, shape.name);
  return residentModule({ ...shape, rank: rankOf(factors.bands) }, factors);
}

/** A module followed by its parents. @throws RangeError if their shapes do not fit */
export function residentGenerations(module: ResidentModule): [ResidentModule, ...ResidentModule[]] {
  const found: [ResidentModule, ...ResidentModule[]] = [module];
  const { name, out, experts } = module.shape;
  for (let last = module; last.parent !== undefined; last = last.parent) {
    const { shape } = last.parent;
    const fits =
      shape.out === out && inputLength(shape) === inputLength(module.shape) && shape.experts === experts;
    if (!fits || shape.rank > last.shape.rank || found.push(last.parent) > GENERATIONS.hard + 1)
      throw new RangeError(`${name}: expected a parent of its shape, with a rank up to ${last.shape.rank}`);
  }
  return found;
}

/**
 * The program of a module.
 *
 * @param lineage whether it has a parent or is one
 * @throws RangeError if payload and draws do not have the lengths that the bands imply
 */
export function programFor({ shape, bands, payload, start }: ResidentModule, lineage: boolean): ApplyProgram {
  const program = programOf(shape, bands, lineage);
  const bytes = (shape.experts - 1) * program.expertStride + program.payloadBytes;
  if (payload.length !== bytes)
    throw new RangeError(`${shape.name}: expected a payload of ${bytes} bytes, found ${payload.length}`);
  const draws = hasStart(bands) ? drawCount(shape) : 0;
  if ((start?.draws.length ?? 0) !== draws)
    throw new RangeError(`${shape.name}: expected ${draws} draws, found ${start?.draws.length ?? "none"}`);
  return program;
}

/** The draws of an expert. */
export function expertDraws({ shape, start }: ResidentModule, expert: number): Int16Array | undefined {
  const count = drawCount(shape) / shape.experts;
  return start?.draws.subarray(expert * count, (expert + 1) * count);
}
