/**
 * Budgets of one chunk or module (spec clause 14): the caller bounds memory, not the file. These are the defaults; SECURITY.md has them
 * in a table. Those of whole adapters are in `adapter-budget.ts`.
 *
 * @module
 */

import { CRC_BYTES } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type ModuleShape, parameterCount } from "../../model/adapter.ts";
import type { ChunkRecord } from "../container/types.ts";

/** Bytes of one chunk, stored and inflated together, or of the decoded arrays of one module. Fits the largest Core chunk. */
export const CHUNK_BUDGET: number = 2 ** 30;

/** Memory that a validator needs for one chunk in addition to its window: a zstd frame, or a small chunk. */
export const PIECE_BUDGET: number = 2 ** 24;

/** Checks that the stored payload of a chunk, and the inflated one with it, fit in the budget. @throws LqaError BUDGET */
export function assertRoom(
  { chunk, compression, payload }: ChunkRecord,
  budget: number,
  where: string,
): void {
  const room = chunk.length - CRC_BYTES + (compression === "none" ? 0 : payload);
  if (room > budget)
    fail(KIND.BUDGET, { where, offset: chunk.offset, expected: `at most ${budget} bytes`, actual: room });
}

/** Checks that binary32 sums of `bytes` fit, with the binary16 arrays that they become. @throws LqaError BUDGET */
export function assertSums(bytes: number, shape: ModuleShape, budget: number = CHUNK_BUDGET): void {
  const actual = bytes + 2 * parameterCount(shape);
  if (actual > budget)
    fail(KIND.BUDGET, { where: `module "${shape.name}"`, expected: `at most ${budget} bytes`, actual });
}

/** A new buffer. @throws LqaError BUDGET if the engine has no memory for it */
export function allocateBytes(bytes: number, where: string): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes);
  } catch (cause) {
    return fail(KIND.BUDGET, { where, actual: `${bytes} bytes, which the engine refuses`, cause });
  }
}
