/**
 * One chunk → what is in it, after every check of step 4 of clause 15.2: the planes of a module, or a plain tensor. For
 * readers that go straight to a chunk; sections are in `container/meta.ts`, reading in file order is in
 * `verify.ts`.
 *
 * Every function takes exactly the bytes of the chunk, and returns views on them where nothing is compressed.
 *
 * @module
 */

import { ELEMENT_BYTES, type PlainTensor } from "../../model/adapter.ts";
import { checkPlane } from "../codecs/check.ts";
import { lowerFactor, type PackedFactors, vectorLengths } from "../codecs/packed.ts";
import {
  checkPayload,
  openChunk,
  type PlaneVisitor,
  planeTaker,
  rawPayload,
  splitPayload,
} from "../container/chunk.ts";
import type { ChunkRecord, ModuleRecord, TensorRecord } from "../container/types.ts";
import type { Decompressor } from "../container/zstd.ts";
import type { ValueChecks } from "./values.ts";

/** The bytes of a chunk, a view. */
export function chunkOf(bytes: Uint8Array, { chunk }: ChunkRecord): Uint8Array {
  return bytes.subarray(chunk.offset, chunk.offset + chunk.length);
}

/**
 * Every check of a module's payload in one walk over its planes. Errors of values come after those of padding, so a payload
 * with such an error is walked a second time.
 *
 * @param payload its CRC-32 was checked
 * @param values if they are to be checked
 * @param visit what else there is to do with each plane; not to be used before this returns
 * @throws LqaError PADDING_NONZERO, SCALE_VALUE, NONFINITE_VALUE
 */
export function checkModule(
  record: ModuleRecord,
  payload: Uint8Array,
  values: ValueChecks | undefined,
  visit?: PlaneVisitor,
): void {
  const { bands, chunk } = record;
  const lengths = vectorLengths(record, bands);
  // The canonical form depends on several planes.
  let report = values?.options.canonical !== undefined;
  const find = (): true => {
    report = true;
    return true;
  };
  checkPayload(record, bands, payload, chunk.offset, (extent, bytes) => {
    const { band, factor, plane } = extent;
    if (!report && values !== undefined)
      checkPlane(lowerFactor(bands[band]!, factor), plane, bytes, lengths[factor], find);
    visit?.(extent, bytes);
  });
  if (report) values?.module(record, payload, chunk.offset);
}

/**
 * @param values undefined for a chunk that was proven before
 * @throws LqaError CHUNK_CRC, PADDING_NONZERO, SCALE_VALUE, NONFINITE_VALUE
 */
export function moduleFactors(
  chunk: Uint8Array,
  record: ModuleRecord,
  values: ValueChecks | undefined,
): PackedFactors {
  if (values === undefined) return splitPayload(record, record.bands, chunk.subarray(0, record.payload));
  const payload = openChunk(chunk, record.chunk.offset, `module "${record.name}"`);
  const { factors, take } = planeTaker(record, record.bands);
  checkModule(record, payload, values, take);
  return factors;
}

/**
 * @param values undefined for a chunk that was proven before
 * @throws LqaError CHUNK_CRC, ZSTD_FRAME, TENSOR_RECORD, NONFINITE_VALUE, UNSUPPORTED_COMPRESSION
 */
export function plainTensor(
  chunk: Uint8Array,
  record: TensorRecord,
  zstd: Decompressor | undefined,
  values: ValueChecks | undefined,
): PlainTensor {
  const elementSize = ELEMENT_BYTES[record.element];
  const proven = values === undefined;
  const data = rawPayload(chunk, record, { zstd, elementSize, proven, where: `tensor "${record.name}"` });
  values?.tensor(record, data, record.chunk.offset);
  return tensorOf(record, data);
}

/** A tensor record with its data. */
export function tensorOf({ name, role, element, shape, axis }: TensorRecord, data: Uint8Array): PlainTensor {
  return { name, role, element, shape, axis, data };
}
