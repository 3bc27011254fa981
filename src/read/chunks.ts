/**
 * One chunk → what is in it, after its CRC-32 (spec clause 7.1): the planes of a module, or a plain tensor. For
 * readers that go straight to a chunk, in memory or by ranges; sections are in `section.ts`, reading in file order is in
 * `verify.ts`.
 *
 * Every function takes exactly the bytes of the chunk, and returns views on them where nothing is compressed.
 *
 * @module
 */
import type { PackedFactors } from "../codecs/packed.ts";
import { rawPayload, splitPayload } from "../container/chunk.ts";
import type { ModuleRecord, TensorRecord } from "../container/types.ts";
import type { Decompressor } from "../container/zstd.ts";
import { ELEMENT_BYTES, type PlainTensor } from "../model/adapter.ts";

/** @throws LqaError CHUNK_CRC, ZSTD_FRAME, PADDING_NONZERO, UNSUPPORTED_COMPRESSION */
export function moduleFactors(
  chunk: Uint8Array,
  record: ModuleRecord,
  zstd: Decompressor | undefined,
): PackedFactors {
  const where = `module "${record.name}"`;
  const raw = rawPayload(chunk, record, { zstd, elementSize: 1, where });
  return splitPayload(record, record.bands, raw, record.chunk.offset);
}

/** @throws LqaError CHUNK_CRC, ZSTD_FRAME, UNSUPPORTED_COMPRESSION */
export function plainTensor(
  chunk: Uint8Array,
  record: TensorRecord,
  zstd: Decompressor | undefined,
): PlainTensor {
  const elementSize = ELEMENT_BYTES[record.element];
  return tensorOf(record, rawPayload(chunk, record, { zstd, elementSize, where: `tensor "${record.name}"` }));
}

/** A tensor record with its data. */
export function tensorOf({ name, role, element, shape, axis }: TensorRecord, data: Uint8Array): PlainTensor {
  return { name, role, element, shape, axis, data };
}
