/**
 * Every check between the index and the last byte, in file order (spec clause 15.2): chunks, padding, sections, span
 * digests, trailer, root digest, content id.
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
import { decodeMeta } from "../container/meta.ts";
import { PROLOGUE_BYTES, type Prologue } from "../container/prologue.ts";
import { createSha256, toHex } from "../container/sha256.ts";
import { readTrailer } from "../container/trailer.ts";
import type { ChunkRecord, ContainerIndex, ModuleRecord, TensorRecord } from "../container/types.ts";
import { fail } from "../errors.ts";
import { ELEMENT_BYTES } from "../model/adapter.ts";

/** Identity of a verified file, hexadecimal. */
export interface VerifiedIds {
  readonly fileId: string;
  readonly contentId: string;
}

/** Called with each chunk once it has passed its own checks, before the next is looked at. */
export interface ChunkVisitor {
  module?(record: ModuleRecord, factors: PackedFactors, payloadOffset: number): void;
  tensor?(record: TensorRecord, data: Uint8Array, payloadOffset: number): void;
}

/**
 * Verifies a file whose prologue and index have been checked.
 *
 * @param bytes the file; shorter than declared is TRUNCATED_FILE at the first byte that is needed and not there
 * @throws LqaError TRUNCATED_FILE, CHUNK_CRC, ZSTD_FRAME, PADDING_NONZERO, META_ENCODING, SPAN_DIGEST, TRAILER_CRC,
 *   TRAILER_MISMATCH, ROOT_DIGEST, CONTENT_ID, TRAILING_BYTES, and whatever `visitor` throws
 */
export function verifyFile(
  bytes: Uint8Array,
  { prologue, index }: { prologue: Prologue; index: ContainerIndex },
  zstd: Zstd | undefined,
  visitor: ChunkVisitor = {},
): VerifiedIds {
  const need = (end: number, where: string): void => {
    if (bytes.length < end)
      fail("TRUNCATED_FILE", {
        where,
        offset: bytes.length,
        expected: `${prologue.fileLength} bytes`,
        actual: bytes.length,
      });
  };
  const indexEnd = PROLOGUE_BYTES + prologue.indexLength;
  const content = contentHasher();
  const digests: Uint8Array[] = [];
  let span = createSha256();
  let number = 0;

  need(align(indexEnd, prologue.alignment), "padding after the index");
  /** Checks one chunk and the padding behind it; `inspect` sees the raw payload in between. */
  const chunk = (
    record: ChunkRecord,
    elementSize: number,
    where: string,
    inspect: (raw: Uint8Array) => void,
  ): void => {
    const { offset, length } = record.chunk;
    const end = align(offset + length, prologue.alignment);
    need(offset + length, where);
    inspect(rawPayload(bytes, record, { zstd, elementSize, where }));
    need(end, where);
    requireZero(bytes.subarray(offset + length, end), offset + length, `padding after ${where}`);
    span.update(bytes.subarray(offset, end));
    if (index.spans[digests.length]![1] === ++number) {
      digests.push(span.digest());
      span = createSha256();
    }
  };
  for (const record of index.modules)
    chunk(record, 1, `module "${record.name}"`, (raw) => {
      const factors = splitPayload(record, record.bands, raw, record.chunk.offset);
      visitor.module?.(record, factors, record.chunk.offset);
      content.add(moduleContent(record), raw);
    });
  for (const record of index.tensors)
    chunk(record, ELEMENT_BYTES[record.element], `tensor "${record.name}"`, (raw) => {
      visitor.tensor?.(record, raw, record.chunk.offset);
      content.add(tensorContent(record), raw);
    });
  for (const record of index.sections)
    chunk(record, 1, `section ${record.type}`, (raw) => {
      if (KNOWN_SECTIONS.has(record.type)) decodeMeta(raw, record.chunk.offset, `section ${record.type}`);
    });

  const list = index.digests;
  need(list.offset + list.length, "digest list");
  const stored = bytes.subarray(list.offset, list.offset + list.length);
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
  const trailerEnd = index.trailer.offset + index.trailer.length;
  need(trailerEnd, "trailer");
  const root = readTrailer(bytes.subarray(index.trailer.offset, trailerEnd), index.trailer.offset, {
    fileLength: prologue.fileLength,
    digestsLength: list.length,
    indexLength: prologue.indexLength,
  });
  const fileId = rootDigest(
    bytes.subarray(0, PROLOGUE_BYTES),
    bytes.subarray(PROLOGUE_BYTES, indexEnd),
    stored,
  );
  if (!equalBytes(root, fileId))
    fail("ROOT_DIGEST", { offset: index.trailer.offset, expected: toHex(fileId), actual: toHex(root) });
  const contentId = content.digest();
  if (!equalBytes(contentId, stored.subarray(0, DIGEST_BYTES)))
    fail("CONTENT_ID", {
      offset: list.offset,
      expected: toHex(contentId),
      actual: toHex(stored.subarray(0, DIGEST_BYTES)),
    });
  if (bytes.length > prologue.fileLength)
    fail("TRAILING_BYTES", {
      offset: prologue.fileLength,
      expected: `${prologue.fileLength} bytes`,
      actual: bytes.length,
    });
  return { fileId: toHex(fileId), contentId: toHex(contentId) };
}
