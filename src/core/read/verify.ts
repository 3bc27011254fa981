/**
 * Every check between the index and the last byte, in file order (spec clause 15.2, steps 4 to 6): chunks, padding,
 * sections, span digests, trailer, root digest, content id, and that nothing follows.
 *
 * Everything is hashed as it goes by, so one pass with one chunk in memory is enough.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { type ErrorKind, fail, isLqaError, type LqaError } from "../../errors.ts";
import { ELEMENT_BYTES } from "../../model/adapter.ts";
import { equalBytes } from "../../model/bytes.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { align, CRC_BYTES, crc32, requireZero, toHex } from "../container/bytes.ts";
import { KNOWN_SECTIONS } from "../container/chunks-read.ts";
import { contentHasher, moduleContent, rootDigest, tensorContent } from "../container/digests.ts";
import { checkChunkCrc, DIGEST_BYTES, planeTaker, rawPayload } from "../container/layout.ts";
import { decodeMeta, type MetaMap } from "../container/meta.ts";
import { createSha256, sha256 } from "../container/sha256.ts";
import { readTrailer } from "../container/trailer.ts";
import type { ContainerIndex, ModuleRecord, SectionRecord, TensorRecord } from "../container/types.ts";
import type { Decompressor, Inflater } from "../container/zstd.ts";
import { assertRoom, inflateCount } from "./budget.ts";
import { checkModule, type ValueChecks } from "./chunks.ts";
import type { Header, OpenedIndex } from "./header.ts";
import { need, type Steps } from "./steps.ts";

/** Identity of a verified file, hexadecimal. */
export interface VerifiedIds {
  readonly fileId: string;
  readonly contentId: string;
}

/** Called with each chunk once it has passed its own checks, before the next byte is looked at. */
export interface ChunkVisitor {
  module?: ((record: ModuleRecord, factors: PackedFactors, payload: Uint8Array) => void) | undefined;
  tensor?: ((record: TensorRecord, data: Uint8Array) => void) | undefined;
  /** `map` is there for the sections this version knows. */
  section?(record: SectionRecord, data: Uint8Array, map: MetaMap | undefined): void;
  /** The chunks so far have the digests of {@link BodyOptions.pinned}. Not called without it. */
  proven?(): void;
}

/** Looks at a payload piece by piece, so that it need not be in memory. What is wrong is said by `finish`. */
export interface PayloadScan {
  /** Lengths of the pieces it wants to see; together they are the payload. */
  readonly pieces: Iterable<number>;
  /** @param offset position of the piece in the payload */
  look(piece: Uint8Array, offset: number): void;
  /** The payload was whole and passed its CRC-32. @throws LqaError the first error in it */
  finish(): void;
}

/** Inputs of the checks in addition to the bytes. */
export interface BodyOptions {
  /** If absent, values are not checked; only a validator may leave it out. */
  readonly values?: ValueChecks | undefined;
  /** Read when the first compressed chunk is there. */
  readonly tools: { readonly zstd?: Decompressor | undefined };
  readonly visitor?: ChunkVisitor | undefined;
  /** Most bytes of one chunk that is held whole, stored and, if compressed, raw. Default: no bound but those of clause 14. */
  readonly budgetBytes?: number | undefined;
  /** The digest list that the file was pinned to: each span is compared as soon as its last byte is there. */
  readonly pinned?: Uint8Array | undefined;
  /** Receives an error. If it returns, all checks that do not depend on the failed one still run. Default: throws the error. */
  readonly report?: ((error: LqaError) => void) | undefined;
  /** A scan instead of the visitor: only pieces of the chunk are then in memory. */
  readonly scan?:
    | ((record: ModuleRecord | TensorRecord | SectionRecord) => PayloadScan | undefined)
    | undefined;
}

/**
 * Checks everything after the index and its padding.
 *
 * @throws LqaError BUDGET before requesting a chunk larger than `budgetBytes`; TRUNCATED_FILE, CHUNK_CRC, ZSTD_FRAME,
 *   PADDING_NONZERO, SCALE_VALUE, NONFINITE_VALUE, TENSOR_RECORD, META_ENCODING, SPAN_DIGEST, TRAILER_CRC, TRAILER_MISMATCH,
 *   ROOT_DIGEST, CONTENT_ID, TRAILING_BYTES; errors of `visitor`
 */
export function* bodySteps(header: Header, options: BodyOptions): Steps<VerifiedIds> {
  const { prologue, index } = header;
  const { tools, values, visitor = {}, budgetBytes = Number.POSITIVE_INFINITY, scan, pinned } = options;
  const attempt = attempts(options.report);
  const countInflated = inflateCount(prologue.fileLength, options.budgetBytes);
  const content = contentHasher();
  /** False once a payload could not be read: then the content id is not known either. */
  let known = true;
  const digests: Uint8Array[] = [];
  let span = createSha256();
  /** True before the first byte of a span: its digest so far is then the one of the payload alone. */
  let fresh = true;
  let number = 0;

  /** Checks one chunk and the padding behind it; `inspect` sees the raw payload in between. */
  function* chunk(
    record: ModuleRecord | TensorRecord | SectionRecord,
    elementSize: number,
    where: string,
    content: ((payload: Uint8Array) => void) | undefined,
    inspect: (raw: Uint8Array) => void,
  ): Steps<void> {
    const { offset, length } = record.chunk;
    const compressed = record.compression !== "none";
    const pieces = scan?.(record);
    /** What `inspect` gets; undefined if it could not be read. */
    let raw: Uint8Array | undefined;
    let crcBytes: Uint8Array;
    /** SHA-256 of the payload. */
    let digest: () => Uint8Array = () => span.snapshot();
    let inflating: Inflater | undefined;
    countInflated(record, where);
    if (pieces === undefined) {
      assertRoom(record, budgetBytes, where);
      const bytes = yield* need(length, offset, where, prologue.fileLength, compressed);
      raw = attempt(() => rawPayload(bytes, record, { zstd: tools.zstd, elementSize, where }));
      if (!fresh || compressed) digest = () => sha256(raw!);
      span.update(bytes.subarray(0, length - CRC_BYTES));
      crcBytes = bytes.subarray(length - CRC_BYTES);
    } else {
      const own = fresh && !compressed ? undefined : createSha256();
      if (own !== undefined) digest = () => own.digest();
      const look = (piece: Uint8Array, from: number): void => {
        own?.update(piece);
        pieces.look(piece, from);
      };
      let at = offset;
      let crc = 0;
      for (const size of compressed ? cuts(length - CRC_BYTES) : pieces.pieces) {
        const piece = yield* need(size, at, where, prologue.fileLength, compressed);
        crc = crc32(piece, crc);
        span.update(piece);
        if (compressed) {
          // Not before: an implementation of zstd is there with the first piece.
          inflating ??= tools.zstd!.inflater(record, {
            elementSize,
            where,
            most: budgetBytes,
            receive: gather(pieces.pieces, look),
          });
          inflating.push(piece);
        } else look(piece, at - offset);
        at += size;
      }
      crcBytes = yield* need(CRC_BYTES, at, where, prologue.fileLength);
      raw = attempt(() => {
        checkChunkCrc(crc, crcBytes, at, where);
        inflating?.finish();
        return NOTHING;
      });
    }
    if (raw === undefined) known = false;
    else content?.(digest());
    span.update(crcBytes);
    fresh = false;
    // Before the next request: the visitor now owns these bytes.
    if (raw !== undefined)
      attempt(() => {
        if (pieces === undefined) inspect(raw);
        else pieces.finish();
      });
    const end = offset + length;
    const left = align(end, prologue.alignment) - end;
    const padding = yield* need(left, end, where, prologue.fileLength);
    attempt(() => requireZero(padding, end, `padding after ${where}`));
    span.update(padding);
    if (index.spans[digests.length]![1] === ++number) {
      const digest = span.digest();
      if (pinned !== undefined) {
        checkSpan(index, pinned, digests.length, digest);
        visitor.proven?.();
      }
      digests.push(digest);
      span = createSha256();
      fresh = true;
    }
  }
  for (const record of index.modules)
    yield* chunk(
      record,
      1,
      `module "${record.name}"`,
      (payload) => content.add(moduleContent(record), payload),
      (raw) => {
        const wanted = visitor.module && planeTaker(record, record.bands);
        checkModule(record, raw, values, wanted?.take);
        if (wanted !== undefined) visitor.module?.(record, wanted.factors, raw);
      },
    );
  for (const record of index.tensors)
    yield* chunk(
      record,
      ELEMENT_BYTES[record.element],
      `tensor "${record.name}"`,
      (payload) => content.add(tensorContent(record), payload),
      (raw) => {
        values?.tensor(record, raw, record.chunk.offset);
        visitor.tensor?.(record, raw);
      },
    );
  for (const record of index.sections)
    yield* chunk(record, 1, `section ${record.type}`, undefined, (raw) => {
      const map = KNOWN_SECTIONS.has(record.type)
        ? decodeMeta(raw, record.chunk.offset, `section ${record.type}`)
        : undefined;
      visitor.section?.(record, raw, map);
    });
  return yield* endSteps(header, digests, known ? content.digest() : undefined, attempt);
}

/** Stored bytes of a compressed chunk per request. */
const CUT = 2 ** 20;

function* cuts(length: number): Generator<number> {
  for (let at = 0; at < length; at += CUT) yield Math.min(CUT, length - at);
}

/** Cuts what it is given into pieces of the lengths that are wanted: views where one is whole, else put together. */
function gather(
  lengths: Iterable<number>,
  look: (piece: Uint8Array, offset: number) => void,
): (raw: Uint8Array) => void {
  const wanted = lengths[Symbol.iterator]();
  let size = 0;
  let gathered: Uint8Array = NOTHING;
  let filled = 0;
  let at = 0;
  return (raw) => {
    for (let from = 0; from < raw.length; ) {
      if (filled === 0) size = wanted.next().value as number;
      const part = raw.subarray(from, from + size - filled);
      from += part.length;
      if (part.length === size) look(part, at);
      else {
        if (gathered.length < size) gathered = new Uint8Array(size);
        gathered.set(part, filled);
        filled += part.length;
        if (filled < size) return;
        look(gathered.subarray(0, size), at);
      }
      at += size;
      filled = 0;
    }
  };
}

const NOTHING = new Uint8Array(0);

/** Runs a check: its result, or undefined if it failed and `report` did not throw. */
type Attempt = <T>(check: () => T) => T | undefined;

function attempts(report: ((error: LqaError) => void) | undefined): Attempt {
  if (report === undefined) return (check) => check();
  return (check) => {
    try {
      return check();
    } catch (error) {
      if (!isLqaError(error)) throw error;
      report(error);
      return undefined;
    }
  };
}

/** Digest list, trailer, and the end of the file. */
function* endSteps(
  header: Header,
  digests: readonly Uint8Array[],
  contentId: Uint8Array | undefined,
  attempt: Attempt,
): Steps<VerifiedIds> {
  const { prologue, index } = header;
  const list = index.digests;
  // A copy, because it is still needed after the trailer has been requested.
  const stored = (yield* need(list.length, list.offset, "digest list", prologue.fileLength)).slice();
  digests.forEach((digest, i) => {
    attempt(() => checkSpan(index, stored, i, digest));
  });
  const { offset, length } = index.trailer;
  const trailer = yield* need(length, offset, "trailer", prologue.fileLength);
  const fileId = attempt(() => checkRoot(header, stored, trailer)) ?? NOTHING;
  const storedId = stored.subarray(0, DIGEST_BYTES);
  if (contentId !== undefined && !equalBytes(contentId, storedId))
    attempt(() => differ(KIND.CONTENT_ID, list.offset, contentId, storedId));
  // One byte more than there may be: it comes back empty where the file ends.
  const more = yield { bytes: 1 };
  if (more.length > 0)
    attempt(() =>
      fail(KIND.TRAILING_BYTES, {
        offset: prologue.fileLength,
        expected: `${prologue.fileLength} bytes`,
        actual: "more",
      }),
    );
  return { fileId: toHex(fileId), contentId: toHex(storedId) };
}

/**
 * Compares the digest of a span with the one in the digest list.
 *
 * @param list the stored digest list: the content id, then a digest for each span
 * @param number of the span
 * @throws LqaError SPAN_DIGEST
 */
export function checkSpan(
  { digests, spans }: ContainerIndex,
  list: Uint8Array,
  number: number,
  digest: Uint8Array,
): void {
  const at = DIGEST_BYTES * (number + 1);
  const found = list.subarray(at, at + DIGEST_BYTES);
  if (equalBytes(digest, found)) return;
  const [first, end] = spans[number]!;
  const where = `digest ${number}, of chunks ${first} to ${end - 1}`;
  differ(KIND.SPAN_DIGEST, digests.offset + at, digest, found, where);
}

/**
 * Checks the trailer, and its root digest against prologue, index and digest list.
 *
 * @returns the file id
 * @throws LqaError TRAILER_CRC, TRAILER_MISMATCH, ROOT_DIGEST
 */
export function checkRoot(header: Header, list: Uint8Array, trailer: Uint8Array): Uint8Array {
  const { prologueBytes, indexBytes, index } = header;
  const root = storedRoot(header, trailer);
  const fileId = rootDigest(prologueBytes, indexBytes, list);
  if (!equalBytes(root, fileId)) differ(KIND.ROOT_DIGEST, index.trailer.offset, fileId, root);
  return fileId;
}

/** The root digest that a trailer has. @throws LqaError TRAILER_CRC, TRAILER_MISMATCH */
export function storedRoot({ prologue, index }: OpenedIndex, trailer: Uint8Array): Uint8Array {
  return readTrailer(trailer, index.trailer.offset, {
    fileLength: prologue.fileLength,
    digestsLength: index.digests.length,
    indexLength: prologue.indexLength,
  });
}

function differ(
  kind: ErrorKind,
  offset: number,
  expected: Uint8Array,
  actual: Uint8Array,
  where?: string,
): never {
  return fail(kind, { where, offset, expected: toHex(expected), actual: toHex(actual) });
}
