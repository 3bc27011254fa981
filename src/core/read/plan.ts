/**
 * Which ranges to ask for (spec clause 13.2): the chunks that are wanted, neighbours merged.
 *
 * A request costs a round trip, 20 to 100 ms; at 100 Mbit/s as much time as 250 KB to 1.2 MB of bytes. So a gap of up
 * to 64 KiB between two wanted chunks is read over: 5 ms at that speed, less than any round trip saved, and at worst
 * one unneeded chunk of common size for each wanted one. Ranges end at 8 MiB, so that several are under way at once and
 * memory stays bounded; a larger chunk is a range of its own.
 *
 * @module
 */
import type { ChunkRecord, Extent } from "../container/types.ts";

/** How ranges are merged. */
export interface PlanOptions {
  /** Unneeded bytes that are read rather than asking twice. Default 64 KiB. */
  readonly gapBytes?: number | undefined;
  /** Length at which a range takes no further chunk. Default 8 MiB. */
  readonly rangeBytes?: number | undefined;
}

/** A range and the chunks in it, in file order. */
export interface PlannedRange<T> extends Extent {
  readonly chunks: readonly T[];
}

const GAP_BYTES = 64 * 1024;
export const RANGE_BYTES: number = 8 * 2 ** 20;

/**
 * The ranges that hold these chunks, in file order. A chunk given twice is read once.
 *
 * @param extentOf what has to be read for a chunk: default the chunk itself
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
