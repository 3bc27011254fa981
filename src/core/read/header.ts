/**
 * Reads prologue and index, and checks them in full, before anything else (spec clauses 5 and 6, steps 1 to 3 of 15.2).
 *
 * @module
 */

import { align, crc32, requireZero } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { LimitSet } from "../../limits.ts";
import { readIndex } from "../container/index-read.ts";
import { hex32, PROLOGUE_BYTES, type Prologue, readPrologue, vectorsWith } from "../container/prologue.ts";
import { hasRareRecords, interpretIndex } from "../container/records-read.ts";
import type { ContainerIndex } from "../container/types.ts";
import { need, PAUSE, type Steps } from "./steps.ts";

/** Checked prologue and index of a file; the bytes after them may be missing. */
export interface OpenedIndex {
  readonly prologue: Prologue;
  readonly index: ContainerIndex;
}

/** An opened index, with fields that only the checks of a whole file need. */
export interface Header extends OpenedIndex {
  /** Position of the first record whose name is not front-coded canonically (12.3). */
  readonly noncanonicalName: number | undefined;
  /** Exactly the bytes of both, for the root digest (spec 11.2). */
  readonly prologueBytes: Uint8Array;
  readonly indexBytes: Uint8Array;
}

/** Bytes of prologue and index together, without the padding behind them. */
export function headerLength({ indexLength }: Prologue): number {
  return PROLOGUE_BYTES + indexLength;
}

/** Where the first chunk begins, or would begin. */
export function chunksStart(prologue: Prologue): number {
  return align(headerLength(prologue), prologue.alignment);
}

/**
 * Reads prologue, index and the padding behind it.
 *
 * @param limits the column of clause 14 that bounds the file
 * @param interpret `interpretRareIndex`, for a caller that cannot wait until it is loaded
 * @throws LqaError of classes T, M, V, I, U and L
 */
export function* headerSteps(
  limits: LimitSet,
  interpret: typeof interpretIndex = interpretIndex,
): Steps<Header> {
  const prologueBytes = yield { bytes: PROLOGUE_BYTES };
  const prologue = readPrologue(prologueBytes, limits);
  const end = headerLength(prologue);
  const indexBytes = yield* need(prologue.indexLength, PROLOGUE_BYTES, "index", end);
  const crc = crc32(indexBytes);
  if (crc !== prologue.indexCrc)
    fail(KIND.INDEX_CRC, { offset: 56, expected: hex32(crc), actual: hex32(prologue.indexCrc) });
  const read = readIndex(indexBytes, PROLOGUE_BYTES, vectorsWith(prologue));
  if (interpret === interpretIndex && hasRareRecords(read, prologue))
    yield {
      ...PAUSE,
      async load() {
        interpret = (await import("../container/rare-records.ts")).interpretRareIndex;
      },
    };
  const work = interpret(read, { prologue, limits });
  let step = work.next();
  for (; step.done !== true; step = work.next()) yield PAUSE;
  const { index, noncanonicalName } = step.value;
  const where = "padding after the index";
  const padding = yield* need(chunksStart(prologue) - end, end, where, prologue.fileLength);
  requireZero(padding, end, where);
  return { prologue, index, noncanonicalName, prologueBytes, indexBytes };
}
