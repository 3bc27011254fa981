/**
 * A module as it is kept for serving: its shape, its band plan and the payload of its chunk, uncompressed and otherwise as
 * the file has it. That is all that is resident; there is no object for each plane.
 *
 * @module
 */
import type { Band, PackedFactors } from "../core/codecs/packed.ts";
import { materialize } from "../core/codecs/start/materialize.ts";
import { assemblePayload } from "../core/container/payload.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { ModuleShape } from "../model/adapter.ts";
import { type ApplyProgram, programOf } from "./program.ts";

/** A packed module that can be applied. */
export interface ResidentModule {
  readonly shape: ModuleShape;
  readonly bands: readonly Band[];
  /** The planes of all experts as in the payload of a chunk (spec clauses 7.2 and 7.3). */
  readonly payload: Uint8Array;
  /** `[experts][out]`, already multiplied: what is added to the output after the update, where a module has a bias of its own. */
  readonly bias?: Float32Array | undefined;
}

/**
 * A module from what `packed` of an open file, or a stream, gives. The planes are copied, so the file may go. Where A' has a start
 * it is decoded, and takes four bytes per weight.
 *
 * @throws LqaError CANNOT_APPLY for embeddings; RangeError if planes do not fit the shape
 */
export function residentModule(shape: ModuleShape, factors: PackedFactors): ResidentModule {
  assertApplicable(shape);
  const plain = materialize(shape, factors);
  return { shape, bands: plain.bands, payload: assemblePayload(shape, plain) };
}

/**
 * Linear layers of either base layout, and convolutions on unfolded input, can be applied. An embedding looks rows up:
 * decode it instead.
 *
 * @throws LqaError CANNOT_APPLY
 */
export function assertApplicable({ name, role }: ModuleShape): void {
  const where = `module "${name}"`;
  if (role === "embedding")
    fail(KIND.CANNOT_APPLY, { where, expected: "a linear layer or a convolution", actual: role });
}

/** What applying the module comes down to. @throws RangeError if the payload has not the length the bands imply */
export function programFor({ shape, bands, payload }: ResidentModule): ApplyProgram {
  const program = programOf(shape, bands);
  const bytes = (shape.experts - 1) * program.expertStride + program.payloadBytes;
  if (payload.length !== bytes)
    throw new RangeError(`${shape.name}: expected a payload of ${bytes} bytes, found ${payload.length}`);
  return program;
}
