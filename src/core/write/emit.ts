/**
 * Emits a planned file in one pass (spec clauses 4, 7.1 and 11). It hashes bytes as it emits them, and never goes back to
 * patch any.
 *
 * @module
 */
import { align, CRC_BYTES } from "../../common/bytes.ts";
import { createSha256, sha256 } from "../../common/sha256.ts";
import type { Stored } from "../container/compression.ts";
import { contentHasher, rootDigest, writeTrailer } from "../container/digests.ts";
import { chunkCrc, DIGEST_BYTES } from "../container/layout.ts";
import { PROLOGUE_BYTES } from "../container/prologue.ts";
import type { FilePlan } from "./plan.ts";

/** A chunk, ready to emit. */
export interface Chunk {
  readonly stored: Stored;
  /** The payload before compression. */
  readonly raw: Uint8Array;
  /** The part of the record that enters the content id; undefined for sections. */
  readonly content: Uint8Array | undefined;
}

/** The content id of a file with these chunks (spec clause 11.3). */
export function contentIdOf(chunks: readonly Chunk[]): Uint8Array {
  const content = contentHasher();
  for (const { raw, content: record } of chunks) if (record !== undefined) content.add(record, sha256(raw));
  return content.digest();
}

/** The pieces of a file, in order. Concatenated, they are the file. */
export function* emitFile(plan: FilePlan, chunks: readonly Chunk[]): Generator<Uint8Array, void> {
  const { prologue, index, layout, alignment } = plan;
  yield prologue;
  yield index;
  let at = PROLOGUE_BYTES + index.length;
  const digests: Uint8Array[] = [];
  let span = createSha256();
  const padTo = (position: number): Uint8Array => {
    const padding = new Uint8Array(position - at);
    at = position;
    return padding;
  };
  yield padTo(align(at, alignment));
  for (const [i, { stored }] of chunks.entries()) {
    const crc = chunkCrc(stored.bytes);
    at += stored.bytes.length + CRC_BYTES;
    const padding = padTo(align(at, alignment));
    for (const piece of [stored.bytes, crc, padding]) {
      if (piece.length === 0) continue;
      span.update(piece);
      yield piece;
    }
    if (layout.spans[digests.length]![1] === i + 1) {
      digests.push(span.digest());
      span = createSha256();
    }
  }
  const list = new Uint8Array(layout.digests.length);
  list.set(contentIdOf(chunks));
  for (const [i, digest] of digests.entries()) list.set(digest, DIGEST_BYTES * (i + 1));
  yield list;
  yield writeTrailer({
    rootDigest: rootDigest(prologue, index, list),
    fileLength: layout.fileLength,
    digestsLength: list.length,
    indexLength: index.length,
  });
}
