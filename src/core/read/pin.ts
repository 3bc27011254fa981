/**
 * Pins a file that is read by ranges (spec clauses 11 and 13.2). A server can answer each request from another file, and say
 * that it is the same one. So opening also reads digest list and trailer, and compares them with prologue and index by the
 * root digest. From then on the SHA-256 of every span is known, and the file returns a chunk only if its span matches. No byte
 * of a second file can get through.
 *
 * The costs are: one request at opening, unless the file is below 64 KiB; whole spans instead of single chunks, which is at
 * most 32 KiB more for small chunks and nothing for large ones; and the time of SHA-256.
 *
 * @module
 */

import { toHex } from "../../common/bytes.ts";
import { createSha256, type Hasher } from "../../common/sha256.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ByteSource } from "../../io/source.ts";
import { openChunk } from "../container/layout.ts";
import { type AnyRecord, type ContainerIndex, type Extent, placeOf } from "../container/types.ts";
import type { Header } from "./header.ts";
import { piecesFrom } from "./pieces-from.ts";
import { FIRST_BYTES, type KeepingSource, type PlannedRange, RANGE_BYTES, readExactly } from "./ranges.ts";
import { truncated } from "./steps.ts";
import { checkRoot, checkSpan } from "./verify.ts";

/** A pinned file: its ids, its digests, and a way to read proven chunks. */
export interface Pin {
  /** The root digest, hexadecimal, computed from prologue, index and digest list. The stored one is equal. */
  readonly fileId: string;
  /** The digest list: the content id, then the SHA-256 of each span. */
  readonly digests: Uint8Array;
  /** The bytes from the digest list to the end of the file. */
  readonly end: Uint8Array;
  /** The span that holds a chunk. */
  spanOf(chunk: Extent): Span;
  /**
   * The chunks of a range, after a check of the digests of their spans. Holds only these chunks and a piece in memory, however
   * long the spans are.
   *
   * @param range whole spans; a range above `rangeBytes` is a single span
   * @returns the bytes of each chunk of `range.chunks`; a view if the chunk was read in one piece
   * @throws LqaError CHUNK_CRC if a chunk of the range is damaged, otherwise SPAN_DIGEST; TRUNCATED_FILE; and as the source
   */
  read(source: ByteSource, range: PlannedRange<AnyRecord>, options: ReadOptions): Promise<Uint8Array[]>;
}

/** Chunks that share a digest, with the padding behind each of them. */
export interface Span extends Extent {
  readonly number: number;
}

/**
 * Reads digest list and trailer, and checks them against the header.
 *
 * @param source keeps the bytes that this reads, small sections included
 * @param expected file id that the file must have, hexadecimal
 * @throws LqaError TRUNCATED_FILE, TRAILER_CRC, TRAILER_MISMATCH, ROOT_DIGEST, WRONG_FILE, and as the source
 */
export async function pinFile(
  source: KeepingSource,
  header: Header,
  expected: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Pin> {
  const { index, prologue } = header;
  const spans = spansOf(index);
  const from = tailStart(index, spans, prologue.fileLength);
  const tail = await readExactly(
    source,
    { offset: from, length: prologue.fileLength - from },
    "digest list and trailer",
    prologue.fileLength,
    signal,
  );
  source.keep("tail", from, tail);
  const end = tail.subarray(index.digests.offset - from);
  const digests = end.subarray(0, index.digests.length);
  const fileId = toHex(checkRoot(header, digests, end.subarray(index.digests.length)));
  if (expected !== undefined && expected.toLowerCase() !== fileId)
    fail(KIND.WRONG_FILE, { where: "file id", offset: index.trailer.offset, expected, actual: fileId });
  const pin: Pin = {
    fileId,
    digests,
    end,
    spanOf({ offset }) {
      let [low, high] = [0, spans.length - 1];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (spans[middle]!.offset <= offset) low = middle;
        else high = middle - 1;
      }
      return spans[low]!;
    },
    read: (source, range, options) => readProven(source, range, header, pin, options),
  };
  return pin;
}

function spansOf({ modules, tensors, sections, spans, digests }: ContainerIndex): Span[] {
  const start = (number: number): number => {
    const [inTensors, inSections] = [number - modules.length, number - modules.length - tensors.length];
    const record = modules[number] ?? tensors[inTensors] ?? sections[inSections];
    return record?.chunk.offset ?? digests.offset;
  };
  return spans.map(([first, end], number) => {
    const offset = start(first);
    return { number, offset, length: start(end) - offset };
  });
}

/** Where the request for the end of the file begins: at the span of the first section if the rest is small. */
function tailStart(
  { sections, digests }: ContainerIndex,
  spans: readonly Span[],
  fileLength: number,
): number {
  const [first] = sections;
  if (first === undefined) return digests.offset;
  const span = spans.findLast(({ offset }) => offset <= first.chunk.offset)!;
  return fileLength - span.offset <= FIRST_BYTES ? span.offset : digests.offset;
}

async function readProven(
  source: ByteSource,
  range: PlannedRange<AnyRecord>,
  { index, prologue }: Header,
  pin: Pin,
  { rangeBytes = RANGE_BYTES, where, signal }: ReadOptions,
): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  const hashes = new Map<Span, Hasher>();
  for (const { chunk } of range.chunks) hashes.set(pin.spanOf(chunk), createSha256());
  const end = range.offset + range.length;
  const options = { pieceBytes: Math.max(rangeBytes, RANGE_BYTES) };
  let at = range.offset;
  for await (const piece of piecesFrom(source, range.offset, end, signal, options)) {
    const here = { offset: at, length: piece.length };
    for (const [span, hash] of hashes) hash.update(common(piece, here, span));
    for (const [i, { chunk }] of range.chunks.entries()) {
      const part = common(piece, here, chunk);
      if (part.length === chunk.length) parts[i] = part;
      else if (part.length > 0)
        (parts[i] ??= new Uint8Array(chunk.length)).set(part, Math.max(0, at - chunk.offset));
    }
    at += piece.length;
  }
  if (at < end) truncated(at, prologue.fileLength, where);
  for (const [span, hash] of hashes) {
    const digest = hash.digest();
    try {
      checkSpan(index, pin.digests, span.number, digest);
    } catch (error) {
      // A checksum locates the damage more precisely.
      for (const [i, { chunk }] of range.chunks.entries())
        if (pin.spanOf(chunk) === span) openChunk(parts[i]!, chunk.offset, placeOf(range.chunks[i]!));
      throw error;
    }
  }
  return parts;
}

interface ReadOptions {
  readonly rangeBytes?: number | undefined;
  /** Name of the first chunk in errors. */
  readonly where: string;
  readonly signal: AbortSignal | undefined;
}

/** The bytes of `piece`, which was read at `here`, that belong to another extent of the file; a view. */
function common(piece: Uint8Array, here: Extent, { offset, length }: Extent): Uint8Array {
  const from = Math.max(0, offset - here.offset);
  return piece.subarray(from, Math.max(from, offset + length - here.offset));
}
