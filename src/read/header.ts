/**
 * Prologue and index, checked in full before anything else is touched (spec clauses 5 and 6, steps 1 to 3 of 15.2).
 *
 * @module
 */
import { align, requireZero } from "../container/bytes.ts";
import { crc32 } from "../container/crc32.ts";
import { readIndex } from "../container/index-read.ts";
import { hex32, PROLOGUE_BYTES, type Prologue, readPrologue } from "../container/prologue.ts";
import { interpretIndex } from "../container/records-read.ts";
import type { ContainerIndex } from "../container/types.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { LimitSet } from "../limits.ts";
import { need, runOver, type Steps, truncated } from "./steps.ts";

/** Prologue and index of a file, checked; what follows them may be missing. */
export interface OpenedIndex {
  readonly prologue: Prologue;
  readonly index: ContainerIndex;
  /** Position of the first record whose name is not front-coded canonically (12.3). */
  readonly noncanonicalName: number | undefined;
}

/** An opened index with the bytes the root digest needs (spec 11.2). */
export interface Header extends OpenedIndex {
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
 * Reads prologue, index and as much of the padding behind it as there is; {@link requirePadding} insists on all of it.
 *
 * @param limits the column of clause 14 that bounds the file
 * @throws LqaError of classes T, M, V, I, U and L
 */
export function* headerSteps(limits: LimitSet): Steps<Header & { readonly received: number }> {
  const prologueBytes = yield { bytes: PROLOGUE_BYTES };
  const prologue = readPrologue(prologueBytes, limits);
  const end = headerLength(prologue);
  const indexBytes = yield* need(prologue.indexLength, PROLOGUE_BYTES, "index", end);
  const crc = crc32(indexBytes);
  if (crc !== prologue.indexCrc)
    fail(KIND.INDEX_CRC, { offset: 56, expected: hex32(crc), actual: hex32(prologue.indexCrc) });
  const { index, noncanonicalName } = interpretIndex(readIndex(indexBytes, PROLOGUE_BYTES), {
    prologue,
    limits,
  });
  const padding = yield { bytes: chunksStart(prologue) - end };
  requireZero(padding, end, "padding after the index");
  return { prologue, index, noncanonicalName, prologueBytes, indexBytes, received: end + padding.length };
}

/** @throws LqaError TRUNCATED_FILE if the file ended in the padding behind the index */
export function requirePadding({ prologue }: OpenedIndex, received: number): void {
  if (received < chunksStart(prologue)) truncated(received, prologue.fileLength, "padding after the index");
}

/** Reads and checks prologue and index of a file that is in memory, or of the first bytes of one. */
export function openIndex(bytes: Uint8Array, options: { readonly limits?: LimitSet }): Header {
  return runOver(bytes, 0, headerSteps(options.limits ?? "core"));
}
