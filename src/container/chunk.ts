/**
 * Chunks: payload, CRC-32, and the planes inside a module's payload (spec clauses 7.1 to 7.3).
 *
 * @module
 */
import type { Planes } from "../codecs/encoding.ts";
import type { PackedBand, PackedFactors } from "../codecs/packed.ts";
import { firstUnusedBit } from "../codecs/unused.ts";
import { fail } from "../errors.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";
import { requireZero, viewOf } from "./bytes.ts";
import { decompress, type Zstd } from "./compression.ts";
import { crc32 } from "./crc32.ts";
import { CRC_BYTES, payloadLength, planeExtents } from "./layout.ts";
import { hex32 } from "./prologue.ts";
import type { ChunkRecord } from "./types.ts";

/** The payload of a module: its planes in stored order, zero padded. */
export function assemblePayload(shape: ModuleShape, factors: PackedFactors): Uint8Array {
  const payload = new Uint8Array(payloadLength(shape, factors.bands));
  for (const { expert, band, factor, plane, offset, length } of planeExtents(shape, factors.bands)) {
    const bytes = factors.planes[expert]![band]![factor][plane];
    if (bytes.length !== length)
      throw new RangeError(
        `${shape.name}: ${plane} of ${factor} in band ${band} has ${bytes.length} bytes, not ${length}`,
      );
    payload.set(bytes, offset);
  }
  return payload;
}

/**
 * The planes of a module, as views on its raw payload.
 *
 * @param base position of the payload in the file, for error offsets
 * @throws LqaError PADDING_NONZERO if bytes between planes or unused bits in them are not zero
 */
export function splitPayload(
  shape: ModuleShape,
  bands: PackedFactors["bands"],
  payload: Uint8Array,
  base: number,
): PackedFactors {
  const extents = planeExtents(shape, bands);
  const lengths = { b: shape.out, a: inputLength(shape) };
  let next = 0;
  let at = 0;
  const take = (): Uint8Array => {
    const { band, factor, plane, offset, length } = extents[next++]!;
    requireZero(payload.subarray(at, offset), base + at, `padding of module "${shape.name}"`);
    const bytes = payload.subarray(offset, offset + length);
    const unused = firstUnusedBit(bands[band]![factor], plane, bytes, lengths[factor]);
    if (unused >= 0)
      fail("PADDING_NONZERO", {
        where: `unused bits of module "${shape.name}"`,
        offset: base + offset + unused,
        expected: 0,
        actual: bytes[unused],
      });
    at = offset + length;
    return bytes;
  };
  // In stored order.
  const factor = (): Planes => ({ scales: take(), zeroPoints: take(), codes: take() });
  const band = (): PackedBand => ({ b: factor(), a: factor() });
  return { bands, planes: Array.from({ length: shape.experts }, () => bands.map(band)) };
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
    fail("CHUNK_CRC", { where, offset, expected: hex32(expected), actual: hex32(found) });
  return true;
}

/**
 * The raw payload of a chunk, after its CRC.
 *
 * @param chunk exactly the bytes of the chunk, CRC-32 included
 * @throws LqaError CHUNK_CRC, ZSTD_FRAME, UNSUPPORTED_COMPRESSION
 */
export function rawPayload(
  chunk: Uint8Array,
  record: ChunkRecord,
  options: { zstd: Zstd | undefined; elementSize: number; where: string },
): Uint8Array {
  const { offset } = record.chunk;
  const stored = openChunk(chunk, offset, options.where);
  return decompress(stored, record.compression, record.payload, { ...options, base: offset });
}
