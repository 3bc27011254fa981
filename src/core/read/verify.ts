/**
 * Runs every check between the index and the last byte, in file order (spec clause 15.2, steps 4 to 6): chunks, padding,
 * sections, span digests, trailer, root digest, content id, and that nothing follows.
 *
 * It hashes bytes as they pass, so one pass with one chunk in memory suffices.
 *
 * @module
 */

import { align, CRC_BYTES, crc32, equalBytes, requireZero, toHex } from "../../common/bytes.ts";
import { createSha256, sha256 } from "../../common/sha256.ts";
import * as KIND from "../../error-catalogue.ts";
import { type ErrorKind, fail, isLqaError, type LqaError } from "../../errors.ts";
import { ELEMENT_BYTES } from "../../model/adapter.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { KNOWN_SECTIONS } from "../container/chunks-read.ts";
import {
  contentHasher,
  moduleContent,
  readTrailer,
  rootDigest,
  tensorContent,
} from "../container/digests.ts";
import { checkChunkCrc, DIGEST_BYTES, planeTaker } from "../container/layout.ts";
import { decodeMeta, type MetaMap } from "../container/meta.ts";
import {
  allChunks,
  type ContainerIndex,
  type ModuleRecord,
  type SectionRecord,
  type TensorRecord,
} from "../container/types.ts";
import { type Decompressor, type Inflater, rawPayload, type Zstd } from "../container/zstd.ts";
import { assertRoom } from "./budget.ts";
import { checkModule, type ValueChecks } from "./chunks.ts";
import type { Header, OpenedIndex } from "./header.ts";
import { checkTensor, zstdFor } from "./other-payloads.ts";
import { type Need, need, PAUSE, type Steps } from "./steps.ts";

/** Identity of a verified file, hexadecimal. */
export interface VerifiedIds {
  readonly fileId: string;
  readonly contentId: string;
}

/** Receives each chunk after it has passed its own checks, and before the check of the next byte. */
export interface ChunkVisitor {
  module?: ((record: ModuleRecord, factors: PackedFactors, payload: Uint8Array) => void) | undefined;
  tensor?: ((record: TensorRecord, data: Uint8Array) => void) | undefined;
  /** `map` is undefined for sections that this version does not know. */
  section?(record: SectionRecord, data: Uint8Array, map: MetaMap | undefined): void;
  /** Called when all chunks so far match the digests of {@link BodyOptions.pinned}. Not called without it. */
  proven?(): void;
}

/** Checks a payload piece by piece, so that it need not be in memory. `finish` reports what is wrong. */
export interface PayloadScan {
  /** Lengths of the pieces that the scan takes; together they are the payload. */
  readonly pieces: Iterable<number>;
  /** Takes one piece. @param offset position of the piece in the payload */
  look(piece: Uint8Array, offset: number): void;
  /** Called if the payload was whole and passed its CRC-32. @throws LqaError the first error in it */
  finish(): void;
}

/** Inputs of the checks in addition to the bytes. */
export interface BodyOptions {
  /** Checks of values. If absent, there are none; only a validator may omit them. */
  readonly values?: ValueChecks | undefined;
  /** zstd implementation; by default the native one or zstd-codec, loaded only when the first compressed chunk has arrived. */
  readonly zstd?: Zstd | undefined;
  readonly visitor?: ChunkVisitor | undefined;
  /** Most bytes of one chunk in memory, stored and, if compressed, raw. Default: only the limits of clause 14. */
  readonly budgetBytes?: number | undefined;
  /** The digest list of a pinned file: the steps compare each span when they have its last byte. */
  readonly pinned?: Uint8Array | undefined;
  /** Checks the sums of a module with a parent; awaited when its chunk has passed its own checks. */
  readonly sums?: ((record: ModuleRecord, factors: PackedFactors) => Promise<unknown>) | undefined;
  /** Receives an error. If it returns, all checks that do not depend on the failed one still run. Default: throws the error. */
  readonly report?: ((error: LqaError) => void) | undefined;
  /** A scan to use for a chunk instead of the visitor: then only pieces of the chunk are in memory. */
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
  const { values, visitor = {}, budgetBytes = Number.POSITIVE_INFINITY, scan, pinned } = options;
  const attempt = attempts(options.report);
  const content = contentHasher();
  /** False after a payload could not be read: then the content id is not known either. */
  let known = true;
  const digests: Uint8Array[] = [];
  /** One implementation for all chunks: the package reads all that the native implementation reads, but not vice versa. */
  let zstd: Decompressor | undefined;
  const loadZstd: Need = {
    ...PAUSE,
    async load() {
      zstd = await zstdFor(allChunks(index), options);
    },
  };
  let span = createSha256();
  /** True at the start of a span: after the next payload, the span's digest so far is that of the payload. */
  let fresh = true;
  let number = 0;

  /** Checks one chunk and the padding behind it; `inspect` sees the raw payload in between. */
  function* chunk(
    record: ModuleRecord | TensorRecord | SectionRecord,
    elementSize: number,
    where: string,
    content: ((payload: Uint8Array) => void) | undefined,
    inspect: (raw: Uint8Array) => void,
    load?: () => Promise<void>,
  ): Steps<void> {
    const { offset, length } = record.chunk;
    const compressed = record.compression !== "none";
    const pieces = scan?.(record);
    /** The raw payload for `inspect`; undefined if it could not be read. */
    let raw: Uint8Array | undefined;
    let crcBytes: Uint8Array;
    /** SHA-256 of the payload. */
    let digest: () => Uint8Array = () => span.snapshot();
    let inflating: Inflater | undefined;
    if (pieces === undefined) {
      assertRoom(record, budgetBytes, where);
      const bytes = yield* need(length, offset, where, prologue.fileLength);
      if (compressed && zstd === undefined) yield loadZstd;
      raw = attempt(() => rawPayload(bytes, record, { zstd, elementSize, where }));
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
        const piece = yield* need(size, at, where, prologue.fileLength);
        if (compressed && zstd === undefined) yield loadZstd;
        crc = crc32(piece, crc);
        span.update(piece);
        if (compressed) {
          inflating ??= zstd!.inflater(record, {
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
    // Before the next request, after which the bytes may be gone.
    if (raw !== undefined)
      attempt(() => {
        if (pieces === undefined) inspect(raw);
        else pieces.finish();
      });
    if (load !== undefined) yield { ...PAUSE, load };
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
  for (const record of index.modules) {
    const summed = options.sums !== undefined && record.parentModule !== undefined;
    let sum: (() => Promise<unknown>) | undefined;
    yield* chunk(
      record,
      1,
      `module "${record.name}"`,
      (payload) => content.add(moduleContent(record), payload),
      (raw) => {
        const wanted = visitor.module || summed ? planeTaker(record, record.bands) : undefined;
        checkModule(record, raw, values, wanted?.take);
        if (wanted !== undefined) visitor.module?.(record, wanted.factors, raw);
        if (summed) sum = () => options.sums!(record, wanted!.factors);
      },
      summed ? async () => void (await sum?.()) : undefined,
    );
  }
  for (const record of index.tensors)
    yield* chunk(
      record,
      ELEMENT_BYTES[record.element],
      `tensor "${record.name}"`,
      (payload) => content.add(tensorContent(record), payload),
      (raw) => {
        if (values !== undefined) checkTensor(values.options, record, raw);
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

/** Cuts its input into pieces of the given lengths: a view if a piece is in one input, otherwise a copy. */
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

/** Checks digest list, trailer, and the end of the file. */
function* endSteps(
  header: Header,
  digests: readonly Uint8Array[],
  contentId: Uint8Array | undefined,
  attempt: Attempt,
): Steps<VerifiedIds> {
  const { prologue, index } = header;
  const list = index.digests;
  // A copy, because it is needed after the request of the trailer.
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
  // One byte behind the end: the result is empty if the file ends there.
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
 * @param number number of the span
 * @param digest computed digest of the span
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

/** The root digest in a trailer. @throws LqaError TRAILER_CRC, TRAILER_MISMATCH */
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
