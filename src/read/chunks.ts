/**
 * One chunk → what is in it, after every check of step 4 of clause 15.2: the planes of a module, or a plain tensor. For
 * readers that go straight to a chunk, in memory or by ranges; sections are in `section.ts`, reading in file order is in
 * `verify.ts`.
 *
 * Every function takes exactly the bytes of the chunk, and returns views on them where nothing is compressed.
 *
 * @module
 */
import type { PackedFactors } from "../codecs/packed.ts";
import { checkPayload, openChunk, rawPayload, splitPayload } from "../container/chunk.ts";
import type { ModuleRecord, TensorRecord } from "../container/types.ts";
import type { Decompressor } from "../container/zstd.ts";
import { ELEMENT_BYTES, type PlainTensor } from "../model/adapter.ts";
import type { ValueChecks } from "./values.ts";

/** @throws LqaError CHUNK_CRC, PADDING_NONZERO, SCALE_VALUE, NONFINITE_VALUE */
export function moduleFactors(chunk: Uint8Array, record: ModuleRecord, values: ValueChecks): PackedFactors {
  const payload = openChunk(chunk, record.chunk.offset, `module "${record.name}"`);
  checkPayload(record, record.bands, payload, record.chunk.offset);
  values.module(record, payload, record.chunk.offset);
  return splitPayload(record, record.bands, payload);
}

/** @throws LqaError CHUNK_CRC, ZSTD_FRAME, TENSOR_RECORD, NONFINITE_VALUE, UNSUPPORTED_COMPRESSION */
export function plainTensor(
  chunk: Uint8Array,
  record: TensorRecord,
  zstd: Decompressor | undefined,
  values: ValueChecks,
): PlainTensor {
  const elementSize = ELEMENT_BYTES[record.element];
  const data = rawPayload(chunk, record, { zstd, elementSize, where: `tensor "${record.name}"` });
  values.tensor(record, data, record.chunk.offset);
  return tensorOf(record, data);
}

/** A tensor record with its data. */
export function tensorOf({ name, role, element, shape, axis }: TensorRecord, data: Uint8Array): PlainTensor {
  return { name, role, element, shape, axis, data };
}
