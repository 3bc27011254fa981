/**
 * Every check between the index and the last byte, in file order (spec clause 15.2, steps 4 to 6): chunks, padding,
 * sections, span digests, trailer, root digest, content id, and that nothing follows.
 *
 * Everything is hashed as it goes by, so one pass with one chunk in memory is enough.
 *
 * @module
 */

import type { PackedFactors } from "../codecs/packed.ts";
import { align, equalBytes, requireZero } from "../container/bytes.ts";
import { rawPayload, splitPayload } from "../container/chunk.ts";
import { KNOWN_SECTIONS } from "../container/chunks-read.ts";
import type { Zstd } from "../container/compression.ts";
import { contentHasher, moduleContent, rootDigest, tensorContent } from "../container/digests.ts";
import { DIGEST_BYTES } from "../container/layout.ts";
import { decodeMeta, type MetaMap } from "../container/meta.ts";
import { createSha256, toHex } from "../container/sha256.ts";
import { readTrailer } from "../container/trailer.ts";
import type { ChunkRecord, ModuleRecord, SectionRecord, TensorRecord } from "../container/types.ts";
import { fail } from "../errors.ts";
import { ELEMENT_BYTES } from "../model/adapter.ts";
import { chunksStart, type Header, requirePadding } from "./header.ts";
import { need, runOver, type Steps } from "./steps.ts";

/** Identity of a verified file, hexadecimal. */
export interface VerifiedIds {
  readonly fileId: string;
  readonly contentId: string;
}

/** Called with each chunk once it has passed its own checks, before the next byte is looked at. */
export interface ChunkVisitor {
  module?(record: ModuleRecord, factors: PackedFactors, payloadOffset: number): void;
  tensor?(record: TensorRecord, data: Uint8Array, payloadOffset: number): void;
  /** `map` is there for the sections this version knows. */
  section?(record: SectionRecord, data: Uint8Array, map: MetaMap | undefined): void;
}

/** What the checks need beside the bytes. */
export interface BodyOptions {
  /** Read when the first compressed chunk is there. */
  readonly tools: { readonly zstd?: Zstd | undefined };
  readonly visitor?: ChunkVisitor;
  /** Most bytes of one chunk, stored and, if compressed, raw. Default: no bound but those of clause 14. */
  readonly budgetBytes?: number | undefined;
}

/**
 * Verifies a file in memory whose prologue and index have been checked.
 *
 * @param bytes the file; shorter than declared is TRUNCATED_FILE at the first byte that is needed and not there
 * @param budgetBytes as in {@link BodyOptions}
 * @throws LqaError BUDGET, TRUNCATED_FILE, CHUNK_CRC, ZSTD_FRAME, PADDING_NONZERO, META_ENCODING, SPAN_DIGEST, TRAILER_CRC,
 *   TRAILER_MISMATCH, ROOT_DIGEST, CONTENT_ID, TRAILING_BYTES, and whatever `visitor` throws
 */
export function verifyFile(
  bytes: Uint8Array,
  header: Header,
  zstd: Zstd | undefined,
  visitor: ChunkVisitor = {},
  budgetBytes?: number,
): VerifiedIds {
  requirePadding(header, bytes.length);
  const steps = bodySteps(header, { tools: { zstd }, visitor, budgetBytes });
  return runOver(bytes, chunksStart(header.prologue), steps);
}

/**
 * The checks of everything behind the index and its padding.
 *
 * @throws LqaError as {@link verifyFile}, and BUDGET before a chunk that is larger than `budgetBytes` is asked for
 */
export function* bodySteps(header: Header, options: BodyOptions): Steps<VerifiedIds> {
  const { prologue, index } = header;
  const { tools, visitor = {}, budgetBytes = Number.POSITIVE_INFINITY } = options;
  const content = contentHasher();
  const digests: Uint8Array[] = [];
  let span = createSha256();
  let number = 0;

  /** Checks one chunk and the padding behind it; `inspect` sees the raw payload in between. */
  function* chunk(
    record: ChunkRecord,
    elementSize: number,
    where: string,
    inspect: (raw: Uint8Array) => void,
  ): Steps<void> {
    const { offset, length } = record.chunk;
    const compressed = record.compression !== "none";
    const room = length + (compressed ? record.payload : 0);
    if (room > budgetBytes)
      fail("BUDGET", { where, offset, expected: `at most ${budgetBytes} bytes`, actual: room });
    const bytes = yield* need(length, offset, where, prologue.fileLength, compressed);
    inspect(rawPayload(bytes, record, { zstd: tools.zstd, elementSize, where }));
    // Before anything is asked for: what was handed out belongs to somebody else from then on.
    span.update(bytes);
    const end = offset + length;
    const left = align(end, prologue.alignment) - end;
    const padding = yield* need(left, end, where, prologue.fileLength);
    requireZero(padding, end, `padding after ${where}`);
    span.update(padding);
    if (index.spans[digests.length]![1] === ++number) {
      digests.push(span.digest());
      span = createSha256();
    }
  }
  for (const record of index.modules)
    yield* chunk(record, 1, `module "${record.name}"`, (raw) => {
      const factors = splitPayload(record, record.bands, raw, record.chunk.offset);
      content.add(moduleContent(record), raw);
      visitor.module?.(record, factors, record.chunk.offset);
    });
  for (const record of index.tensors)
    yield* chunk(record, ELEMENT_BYTES[record.element], `tensor "${record.name}"`, (raw) => {
      content.add(tensorContent(record), raw);
      visitor.tensor?.(record, raw, record.chunk.offset);
    });
  for (const record of index.sections)
    yield* chunk(record, 1, `section ${record.type}`, (raw) => {
      const known = KNOWN_SECTIONS.has(record.type);
      const map = known ? decodeMeta(raw, record.chunk.offset, `section ${record.type}`) : undefined;
      visitor.section?.(record, raw, map);
    });
  return yield* endSteps(header, digests, content.digest());
}

/** Digest list, trailer, and the end of the file. */
function* endSteps(
  { prologue, index, prologueBytes, indexBytes }: Header,
  digests: readonly Uint8Array[],
  contentId: Uint8Array,
): Steps<VerifiedIds> {
  const list = index.digests;
  const stored = yield* need(list.length, list.offset, "digest list", prologue.fileLength);
  digests.forEach((digest, i) => {
    const at = DIGEST_BYTES * (i + 1);
    if (!equalBytes(digest, stored.subarray(at, at + DIGEST_BYTES)))
      fail("SPAN_DIGEST", {
        where: `digest ${i}, of chunks ${index.spans[i]![0]} to ${index.spans[i]![1] - 1}`,
        offset: list.offset + at,
        expected: toHex(digest),
        actual: toHex(stored.subarray(at, at + DIGEST_BYTES)),
      });
  });
  const { offset, length } = index.trailer;
  const trailer = yield* need(length, offset, "trailer", prologue.fileLength);
  const root = readTrailer(trailer, offset, {
    fileLength: prologue.fileLength,
    digestsLength: list.length,
    indexLength: prologue.indexLength,
  });
  const fileId = rootDigest(prologueBytes, indexBytes, stored);
  if (!equalBytes(root, fileId))
    fail("ROOT_DIGEST", { offset, expected: toHex(fileId), actual: toHex(root) });
  if (!equalBytes(contentId, stored.subarray(0, DIGEST_BYTES)))
    fail("CONTENT_ID", {
      offset: list.offset,
      expected: toHex(contentId),
      actual: toHex(stored.subarray(0, DIGEST_BYTES)),
    });
  // One byte more than there may be: it comes back empty where the file ends.
  const more = yield { bytes: 1 };
  if (more.length > 0)
    fail("TRAILING_BYTES", {
      offset: prologue.fileLength,
      expected: `${prologue.fileLength} bytes`,
      actual: "more",
    });
  return { fileId: toHex(fileId), contentId: toHex(contentId) };
}
