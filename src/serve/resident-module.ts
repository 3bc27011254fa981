/**
 * A module in its serving form: its shape, its band plan and the payload of its chunk, uncompressed and otherwise as in
 * the file. Nothing else is resident; there is no object per plane.
 *
 * @module
 */
import { type Band, givenParent, hasStart, type PackedFactors, rankOf } from "../core/codecs/packed.ts";
import { drawsOf } from "../core/codecs/start/draws.ts";
import type { ModuleStart } from "../core/codecs/start/start.ts";
import { splitPayload } from "../core/container/layout.ts";
import { assemblePayload } from "../core/container/payload.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { GENERATIONS } from "../limits.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";
import { type ApplyProgram, programOf } from "./program.ts";

/** The start of A' and its draws, `[experts][rank][in · kernel]` (spec clause 8.8). */
export interface ResidentStart extends ModuleStart {
  readonly draws: Int16Array;
}

/** A packed module that can be applied. */
export interface ResidentModule {
  readonly shape: ModuleShape;
  readonly bands: readonly Band[];
  /** The planes of all experts as in the payload of a chunk (spec clauses 7.2 and 7.3). */
  readonly payload: Uint8Array;
  /** The module to which its factors are added, if there is one: of its shape, with a rank up to its own (spec clause 8.9). */
  readonly parent?: ResidentModule | undefined;
  /** Present if a vector of A' has a start. Modules with one start can share their draws. */
  readonly start?: ResidentStart | undefined;
  /** `[experts][out]`, already multiplied: added to the output after the update, if the module has its own bias. */
  readonly bias?: Float32Array | undefined;
}

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

/**
 * Refuses modules that cannot be applied. Linear layers of either base layout, and convolutions on unfolded input, can be. An
 * embedding looks up rows: decode it instead.
 *
 * @throws LqaError CANNOT_APPLY
 */
export function assertApplicable({ name, role }: ModuleShape): void {
  const where = `module "${name}"`;
  if (role === "embedding")
    fail(KIND.CANNOT_APPLY, { where, expected: "a linear layer or a convolution", actual: role });
}

/** @throws LqaError PARENT_MISSING; as {@link residentModule} */
function residentParent(shape: ModuleShape, parent: PackedFactors | string): ResidentModule {
  const factors = givenParent(parent, shape.name);
  return residentModule({ ...shape, rank: rankOf(factors.bands) }, factors);
}

/** A module's factors, as views, for `decodeModule`. */
export function factorsOf({ shape, bands, payload, start, parent }: ResidentModule): PackedFactors {
  const own = splitPayload({ ...shape, start }, bands, payload);
  return parent === undefined ? own : { ...own, parent: factorsOf(parent) };
}

/** A module followed by its parents. @throws RangeError if their shapes do not fit */
export function generationsOf(module: ResidentModule): [ResidentModule, ...ResidentModule[]] {
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
