/**
 * Chooses the ranges of a {@link ByteSource} that a reader requests (spec clause 13.2): coalesced ranges of the wanted chunks, or
 * one stretch that must be whole. `open-header.ts` chooses those of the header, `pieces-from.ts` those of everything.
 *
 * A request costs a round trip of 20 to 100 ms; at 100 Mbit/s that is the time of 250 KB to 1.2 MB. So a range includes gaps of
 * up to 64 KiB between two wanted chunks: 5 ms at that speed, less than any round trip, and at worst one unneeded chunk of
 * common size for each wanted one. Ranges end at 8 MiB, so that several run concurrently and memory stays bounded; a larger
 * chunk is a single range.
 *
 * @module
 */

import { assertNotAborted } from "../../errors.ts";
import type { ByteSource } from "../../io/source.ts";
import type { ChunkRecord, Extent } from "../container/types.ts";
import { truncated } from "./steps.ts";

/** How to coalesce ranges. */
export interface PlanOptions {
  /** Most unneeded bytes between two chunks of one range. Default 64 KiB. */
  readonly gapBytes?: number | undefined;
  /** Length at which a range takes no further chunk. Default 8 MiB. */
  readonly rangeBytes?: number | undefined;
}

/** A range and the chunks in it, in file order. */
export interface PlannedRange<T> extends Extent {
  readonly chunks: readonly T[];
}

const GAP_BYTES = 64 * 1024;
/** Default length at which a range takes no further chunk. */
export const RANGE_BYTES: number = 8 * 2 ** 20;
/** Bytes of the first request: it holds prologue and index of most adapters. */
export const FIRST_BYTES = 65536;

/**
 * The ranges that hold these chunks, in file order. A chunk that occurs twice is in one range only.
 *
 * @param extentOf the extent to read for a chunk. Default: the chunk itself
 */
export function planRanges<T extends Pick<ChunkRecord, "chunk">>(
  chunks: Iterable<T>,
  { gapBytes = GAP_BYTES, rangeBytes = RANGE_BYTES }: PlanOptions = {},
  extentOf: (chunk: T) => Extent = ({ chunk }) => chunk,
): PlannedRange<T>[] {
  const ordered = [...new Set(chunks)].sort((x, y) => x.chunk.offset - y.chunk.offset);
  const ranges: { offset: number; length: number; chunks: T[] }[] = [];
  for (const record of ordered) {
    const { offset, length } = extentOf(record);
    const last = ranges[ranges.length - 1];
    if (
      last !== undefined &&
      offset - (last.offset + last.length) <= gapBytes &&
      offset + length - last.offset <= Math.max(rangeBytes, last.length)
    ) {
      last.length = Math.max(last.length, offset + length - last.offset);
      last.chunks.push(record);
    } else ranges.push({ offset, length, chunks: [record] });
  }
  return ranges;
}

/** A source that keeps some extents in memory, and answers reads within them from there. */
export interface KeepingSource extends ByteSource {
  /** Keeps the bytes of the source from `offset` on. They replace earlier ones of the same name. */
  keep(name: string, offset: number, bytes: Uint8Array): void;
}

/** Wraps a source that keeps nothing yet. */
export function keepingSource(source: ByteSource): KeepingSource {
  const kept = new Map<string, readonly [offset: number, bytes: Uint8Array]>();
  return {
    get size() {
      return source.size;
    },
    stable: source.stable,
    fresh: source.fresh,
    get compared() {
      return source.compared;
    },
    keep: (name, offset, bytes) => void kept.set(name, [offset, bytes]),
    async read(offset, length, signal) {
      for (const [start, bytes] of kept.values()) {
        if (offset < start || offset + length > start + bytes.length) continue;
        assertNotAborted(signal);
        return bytes.subarray(offset - start, offset - start + length);
      }
      return source.read(offset, length, signal);
    },
  };
}

/** Reads an extent of the file in full. @throws LqaError TRUNCATED_FILE, and as the source */
export async function readExactly(
  source: ByteSource,
  { offset, length }: Extent,
  where: string,
  fileLength: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const bytes = await source.read(offset, length, signal);
  if (bytes.length < length) truncated(offset + bytes.length, fileLength, where);
  return bytes;
}
