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
import { checkPayload, rawPayload, splitPayload } from "../container/chunk.ts";
import type { ModuleRecord, TensorRecord } from "../container/types.ts";
import type { Decompressor } from "../container/zstd.ts";
import { ELEMENT_BYTES, type PlainTensor } from "../model/adapter.ts";
import type { ValueChecks } from "./values.ts";

/** @throws LqaError CHUNK_CRC, ZSTD_FRAME, PADDING_NONZERO, SCALE_VALUE, NONFINITE_VALUE, UNSUPPORTED_COMPRESSION */
export function moduleFactors(
  chunk: Uint8Array,
  record: ModuleRecord,
  zstd: Decompressor | undefined,
  values: ValueChecks,
): PackedFactors {
  const where = `module "${record.name}"`;
  const raw = rawPayload(chunk, record, { zstd, elementSize: 1, where });
  checkPayload(record, record.bands, raw, record.chunk.offset);
  values.module(record, raw, record.chunk.offset);
  return splitPayload(record, record.bands, raw);
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
