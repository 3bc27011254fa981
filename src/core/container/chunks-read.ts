/**
 * Reads the records of sections (spec clause 6.9), and checks the rules for all chunk records. `tensor-records.ts` reads those of
 * tensors.
 *
 * @module
 */

import { CRC_BYTES } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { CHUNK_BYTES, EXPANSION, type Limit, META_BYTES } from "../../limits.ts";
import { COMPRESSIONS } from "./encoding-record.ts";
import type { IndexVectors } from "./generated/schema.ts";
import type { ReadIndex } from "./index-read.ts";
import { hex32 } from "./prologue.ts";
import type { CompressionName, Extent, SectionRecord } from "./types.ts";

/** Section types that this version knows. */
export const KNOWN_SECTIONS: ReadonlySet<string> = new Set(["META", "ORIG"]);

/**
 * Reads the records of sections.
 *
 * @param chunks extents of their chunks
 * @param expands has counted the tensors
 * @throws LqaError of classes M, V, U and L
 */
export function readSections(
  read: ReadIndex,
  limit: LimitCheck,
  chunks: readonly Extent[],
  expands: ExpansionCheck,
): SectionRecord[] {
  let previous = "";
  return read.vectors.sections.map((record, i) => {
    const offset = read.locate("sections")(i);
    const type = String.fromCharCode(...[0, 8, 16, 24].map((shift) => (record.tag >>> shift) & 0xff));
    const where = (): string => `section ${i} (${JSON.stringify(type)})`;
    if (![...type].every((letter) => /[A-Za-z]/.test(letter)))
      fail(KIND.SECTION_RECORD, {
        where: where(),
        offset,
        expected: "a type of four ASCII letters",
        actual: hex32(record.tag),
      });
    if (record.flags > 3)
      fail(KIND.RECORD_RESERVED_NONZERO, {
        where: where(),
        offset,
        expected: "flags 0 to 3",
        actual: record.flags,
      });
    if (record.reserved !== 0)
      fail(KIND.RECORD_RESERVED_NONZERO, { where: where(), offset, expected: 0, actual: record.reserved });
    if (type <= previous)
      fail(KIND.SECTION_ORDER, { where: where(), offset, expected: `a type after ${previous}` });
    previous = type;
    const critical = (record.flags & 1) !== 0;
    if (critical && /^[a-z]/.test(type))
      fail(KIND.SECTION_RECORD, {
        where: where(),
        offset,
        expected: "a private section that is not critical",
      });
    if (critical && !KNOWN_SECTIONS.has(type)) fail(KIND.UNSUPPORTED_SECTION, { where: where(), offset });
    limit(Math.max(record.rawLength, record.chunkLength), CHUNK_BYTES, "sections", i, where);
    if (KNOWN_SECTIONS.has(type)) limit(record.rawLength, META_BYTES, "sections", i, where);
    if (type === "META" && record.compression !== 0)
      fail(KIND.SECTION_RECORD, {
        where: where(),
        offset,
        expected: "META stored as it is",
        actual: record.compression,
      });
    const compression = readCompression(record.compression, "section", where, offset);
    checkChunkLength(record.chunkLength, record.rawLength, compression, where, offset);
    expands(record.rawLength, record.chunkLength, "sections", i, where);
    return {
      type,
      critical,
      safeToCopy: (record.flags & 2) !== 0,
      compression,
      payload: record.rawLength,
      chunk: chunks[i]!,
    };
  });
}

// Rules for every chunk record, and the limit check that all record readers share (spec clauses 7.1, 7.5, 14).

/** Name of a record in errors. A function, because making a text for every record takes longer than all its checks. */
export type Where = () => string;

/** Fails with HARD_LIMIT or CORE_LIMIT at entry `i` of a vector if `value` is above `bound`. */
export type LimitCheck = (
  value: number,
  bound: Limit,
  name: keyof IndexVectors,
  i: number,
  where: Where,
) => void;

/** Counts the chunk of record `i` of a vector. @throws LqaError HARD_LIMIT, CORE_LIMIT */
export type ExpansionCheck = (
  payload: number,
  chunkLength: number,
  name: keyof IndexVectors,
  i: number,
  where: Where,
) => void;

/** Payload bytes beyond this many times the bytes of the chunk count as expansion. Real weights shrink by a tenth. */
const EXPANSION_TIMES = 16;

/** Bytes that decompressing adds beyond what the bytes of a chunk pay for (spec clause 14): 0 for chunks that are not compressed. */
export function expansionOf(payload: number, chunkLength: number): number {
  return Math.max(0, payload - EXPANSION_TIMES * chunkLength);
}

/** Adds up the expansion of one chunk after the other, and compares the sum with its limit at each. */
export function expansionCheck(limit: LimitCheck): ExpansionCheck {
  let total = 0;
  return (payload, chunkLength, ...place) => {
    total += expansionOf(payload, chunkLength);
    limit(total, EXPANSION, ...place);
  };
}

/** The compressions that each kind of payload may have (spec 7.5). */
export const CHOICES = {
  tensor: ["zstd", "shuffled-zstd"],
  section: ["text-zstd"],
} as const;

/** Reads a compression, which must be allowed for this kind of payload (spec 7.5). @throws LqaError UNSUPPORTED_COMPRESSION */
export function readCompression(
  value: number,
  kind: keyof typeof CHOICES,
  where: Where,
  offset: number,
): CompressionName {
  if (value === 0) return "none";
  const name = COMPRESSIONS[value];
  const allowed: readonly CompressionName[] = ["none", ...CHOICES[kind]];
  return (
    allowed.find((one) => one === name) ??
    fail(KIND.UNSUPPORTED_COMPRESSION, {
      where: where(),
      offset,
      expected: allowed.join(" or "),
      actual: name ?? value,
    })
  );
}

/**
 * Checks the length of a chunk: it is that of the payload and its CRC-32; a compressed payload is shorter, and not empty.
 *
 * @throws LqaError CHUNK_LENGTH_MISMATCH
 */
export function checkChunkLength(
  length: number,
  payload: number,
  compression: CompressionName,
  where: Where,
  offset: number,
): void {
  const full = payload + CRC_BYTES;
  if (compression === "none" ? length !== full : length <= CRC_BYTES || length >= full)
    fail(KIND.CHUNK_LENGTH_MISMATCH, {
      where: where(),
      offset,
      expected: compression === "none" ? full : `${CRC_BYTES + 1} to ${full - 1}`,
      actual: length,
    });
}

// Pauses in long work. Loops over every record of an index are generators that yield periodically, so that the caller can let
// timers and other requests run in between (`read/steps.ts`), or continue at once.

/** Work that may pause. It yields nothing, and ends with a result or an error. */
export type Pauses<T> = Generator<undefined, T, unknown>;

/** Records or bands between two pauses: they take one to four milliseconds. */
const BETWEEN = 4096;

/** A function that counts work, and returns true when it is time for a pause. */
export function pacer(): (work: number) => boolean {
  let done = 0;
  return (work) => {
    done += work;
    if (done < BETWEEN) return false;
    done = 0;
    return true;
  };
}

/** Does the work without pauses. */
export function withoutPauses<T>(work: Pauses<T>): T {
  let step = work.next();
  while (step.done !== true) step = work.next();
  return step.value;
}
