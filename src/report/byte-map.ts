/**
 * Classifies every byte of a file by purpose, as totals and as a map: the file cut into equal cells, each named after the
 * purpose of most of its bytes. Time and memory grow with the size of the index and the number of planes it describes.
 *
 * @module
 */

import { CRC_BYTES } from "../common/bytes.ts";
import { lowerFactor, planeExtents } from "../core/format.ts";
import type { ContainerIndex } from "../core/index.ts";
import { PROLOGUE_BYTES } from "../core/rooms.ts";

/** The purposes of bytes, in the order of the totals. */
export const BYTE_KINDS = [
  "codes of B'",
  "codes of A'",
  "scales",
  "zero points",
  "raw weights",
  "plain tensors",
  "sections",
  "index",
  "digests",
  "prologue and trailer",
  "checksums",
  "padding",
] as const;

/** What bytes of a file are for. */
export type ByteKind = (typeof BYTE_KINDS)[number];

/** Bytes by kind. */
export interface ByteMap {
  /** Bytes of each kind; their sum is the length of the file. */
  readonly totals: Readonly<Record<ByteKind, number>>;
  /** Bytes of a cell; the last may be short. Not necessarily a whole number. */
  readonly cellBytes: number;
  readonly cells: readonly ByteKind[];
}

const CELLS = 1200;

/** Maps a file. Needs only its index; reads no payload. */
export function mapBytes(index: ContainerIndex, indexLength: number, fileLength: number): ByteMap {
  const cellCount = Math.max(1, Math.min(CELLS, fileLength));
  const cellBytes = fileLength / cellCount;
  const shares = new Float64Array(cellCount * BYTE_KINDS.length);
  const sums = new Float64Array(BYTE_KINDS.length);
  const add = (kind: ByteKind, offset: number, length: number): void => {
    if (length <= 0) return;
    const number = BYTE_KINDS.indexOf(kind);
    sums[number]! += length;
    const last = Math.min(cellCount - 1, Math.floor((offset + length - 1) / cellBytes));
    for (let cell = Math.floor(offset / cellBytes); cell <= last; cell++) {
      const begin = Math.max(offset, cell * cellBytes);
      const end = Math.min(offset + length, (cell + 1) * cellBytes);
      shares[cell * BYTE_KINDS.length + number]! += end - begin;
    }
  };
  let at = 0;
  /** Bytes between the end of the last extent and this one are padding. */
  const from = (offset: number, length: number): void => {
    add("padding", at, offset - at);
    at = offset + length;
  };
  const whole = (kind: ByteKind, offset: number, length: number): void => {
    from(offset, length);
    add(kind, offset, length);
  };
  const checked = (kind: ByteKind, { offset, length }: { offset: number; length: number }): void => {
    whole(kind, offset, length - CRC_BYTES);
    whole("checksums", offset + length - CRC_BYTES, CRC_BYTES);
  };
  whole("prologue and trailer", 0, PROLOGUE_BYTES);
  whole("index", PROLOGUE_BYTES, indexLength);
  for (const module of index.modules) {
    const { chunk, bands } = module;
    for (const { band, factor, plane, offset, length } of planeExtents(module, bands)) {
      const floats = lowerFactor(bands[band]!, factor).kind === "floats";
      whole(kindOfPlane(plane, factor, floats), chunk.offset + offset, length);
    }
    whole("checksums", chunk.offset + chunk.length - CRC_BYTES, CRC_BYTES);
  }
  for (const { chunk } of index.tensors) checked("plain tensors", chunk);
  for (const { chunk } of index.sections) checked("sections", chunk);
  whole("digests", index.digests.offset, index.digests.length);
  whole("prologue and trailer", index.trailer.offset, index.trailer.length);
  return {
    totals: Object.fromEntries(BYTE_KINDS.map((kind, i) => [kind, sums[i]!])) as Record<ByteKind, number>,
    cellBytes,
    cells: Array.from({ length: cellCount }, (_, cell) => {
      const own = shares.subarray(cell * BYTE_KINDS.length, (cell + 1) * BYTE_KINDS.length);
      return BYTE_KINDS[own.indexOf(own.reduce((x, y) => Math.max(x, y)))]!;
    }),
  };
}

function kindOfPlane(plane: string, factor: string, floats: boolean): ByteKind {
  if (plane === "scales") return "scales";
  if (plane !== "codes") return "zero points";
  if (floats) return "raw weights";
  return factor === "b" ? "codes of B'" : "codes of A'";
}
