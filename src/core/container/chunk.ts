/**
 * Chunks: payload, CRC-32, and the planes inside a module's payload (spec clauses 7.1 to 7.3).
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import { firstUnusedBit } from "../codecs/check.ts";
import type { Planes } from "../codecs/encoding.ts";
import { lowerFactor, type PackedBand, type PackedFactors, vectorLengths } from "../codecs/packed.ts";
import { requireZero, viewOf } from "./bytes.ts";
import { CRC_BYTES, crc32 } from "./crc32.ts";
import { type PlaneExtent, planeExtents } from "./layout.ts";
import { hex32 } from "./prologue.ts";
import type { ChunkRecord } from "./types.ts";
import type { Decompressor } from "./zstd.ts";

/** Receives a plane that has bytes: its place in the payload, and a view of it. */
export type PlaneVisitor = (extent: PlaneExtent, bytes: Uint8Array) => void;

/**
 * Checks the zeros of a payload: bytes between planes, and unused bits in them.
 *
 * @param visit what else there is to do with each plane, so that there is one walk for all; called when its zeros are right
 * @param base position of the payload in the file, for error offsets
 * @throws LqaError PADDING_NONZERO
 */
export function checkPayload(
  shape: ModuleShape,
  bands: PackedFactors["bands"],
  payload: Uint8Array,
  base: number,
  visit?: PlaneVisitor,
): void {
  const lengths = vectorLengths(shape, bands);
  let at = 0;
  for (const extent of planeExtents(shape, bands)) {
    const { band, factor, plane, offset, length } = extent;
    if (offset > at)
      requireZero(payload.subarray(at, offset), base + at, `padding of module "${shape.name}"`);
    const bytes = payload.subarray(offset, offset + length);
    const unused = firstUnusedBit(lowerFactor(bands[band]!, factor), plane, bytes, lengths[factor]);
    if (unused >= 0)
      fail(KIND.PADDING_NONZERO, {
        where: `unused bits of module "${shape.name}"`,
        offset: base + offset + unused,
        expected: 0,
        actual: bytes[unused],
      });
    visit?.(extent, bytes);
    at = offset + length;
  }
}

/** What has no bytes is one object, however often it occurs. */
const NO_BYTES = new Uint8Array(0);
const NO_PLANES: Planes = { scales: NO_BYTES, zeroPoints: NO_BYTES, codes: NO_BYTES };
const NO_BAND: PackedBand = { b: NO_PLANES, a: NO_PLANES };

/** The planes of a module, as views on its raw payload. Whether they are allowed: {@link checkPayload}, and `read/values.ts`. */
export function splitPayload(
  shape: ModuleShape & Pick<PackedFactors, "start">,
  bands: PackedFactors["bands"],
  payload: Uint8Array,
): PackedFactors {
  const { factors, take } = planeTaker(shape, bands);
  for (const extent of planeExtents(shape, bands))
    take(extent, payload.subarray(extent.offset, extent.offset + extent.length));
  return factors;
}

/** Packed factors of nothing, which `take` gives their planes. */
export function planeTaker(
  { experts, start }: Pick<ModuleShape, "experts"> & Pick<PackedFactors, "start">,
  bands: PackedFactors["bands"],
): { readonly factors: PackedFactors; readonly take: PlaneVisitor } {
  const none: readonly PackedBand[] = bands.map(() => NO_BAND);
  const planes = new Array<readonly PackedBand[]>(experts).fill(none);
  const take: PlaneVisitor = ({ expert, band, factor, plane }, bytes) => {
    // An expert, a band and a factor are begun by the first of their planes that comes.
    if (planes[expert] === none) planes[expert] = none.slice();
    const own = planes[expert] as PackedBand[];
    const two = own[band] === NO_BAND ? { ...NO_BAND } : own[band]!;
    own[band] = two;
    const begun = two[factor] ?? NO_PLANES;
    const three = begun === NO_PLANES ? { ...NO_PLANES } : begun;
    (two as { b: Planes; a: Planes; mix?: Planes })[factor] = three;
    (three as { scales: Uint8Array; zeroPoints: Uint8Array; codes: Uint8Array })[plane] = bytes;
  };
  return { factors: start === undefined ? { bands, planes } : { bands, planes, start }, take };
}

/** The CRC-32 that ends a chunk. */
export function chunkCrc(stored: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(CRC_BYTES);
  viewOf(bytes).setUint32(0, crc32(stored), true);
  return bytes;
}

/**
 * Checks the CRC-32 of a chunk and returns its stored payload, a view.
 *
 * @param chunk payload and CRC-32
 * @param base position of the chunk in the file
 * @throws LqaError CHUNK_CRC
 */
export function openChunk(chunk: Uint8Array, base: number, where: string): Uint8Array {
  const stored = chunk.subarray(0, chunk.length - CRC_BYTES);
  checkChunkCrc(crc32(stored), chunk.subarray(stored.length), base + stored.length, where);
  return stored;
}

/**
 * Compares the CRC-32 of a payload with the stored one.
 *
 * @returns true
 * @param offset position of `stored` in the file
 * @throws LqaError CHUNK_CRC
 */
export function checkChunkCrc(expected: number, stored: Uint8Array, offset: number, where: string): true {
  const found = viewOf(stored).getUint32(0, true);
  if (found !== expected)
    fail(KIND.CHUNK_CRC, { where, offset, expected: hex32(expected), actual: hex32(found) });
  return true;
}

/**
 * The raw payload of a chunk, after its CRC.
 *
 * @param chunk exactly the bytes of the chunk, CRC-32 included
 * @param options.zstd must be there for a chunk that is compressed
 * @param options.proven its CRC-32 was checked before
 * @throws LqaError CHUNK_CRC, ZSTD_FRAME, UNSUPPORTED_COMPRESSION
 */
export function rawPayload(
  chunk: Uint8Array,
  record: ChunkRecord,
  options: { zstd: Decompressor | undefined; elementSize: number; where: string; proven?: boolean },
): Uint8Array {
  const { chunk: extent, compression, payload } = record;
  const { zstd, elementSize, where, proven } = options;
  const stored = proven ? chunk.subarray(0, -CRC_BYTES) : openChunk(chunk, extent.offset, where);
  if (compression === "none") return stored;
  return zstd!.decompress(stored, compression, payload, { elementSize, where, base: extent.offset });
}
