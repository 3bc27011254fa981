/**
 * A module as it stays in memory to be applied: its shape, its band plan and the payload of its chunk, uncompressed and otherwise as
 * in the file. There is no object per plane.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import type { Band, PackedFactors } from "../codecs/packed.ts";
import type { ModuleStart } from "../codecs/start/start.ts";
import { splitPayload } from "./layout.ts";

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

/** A module's factors, as views, for `decodeModule`. */
export function factorsOf({ shape, bands, payload, start, parent }: ResidentModule): PackedFactors {
  const own = splitPayload({ ...shape, start }, bands, payload);
  return parent === undefined ? own : { ...own, parent: factorsOf(parent) };
}
