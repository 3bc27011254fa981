/**
 * Chunks that hold no module: turns the chunk of a plain tensor or of a section into its content, after every check of step 4 of
 * clause 15.2. `file.ts` imports this file at the first use.
 *
 * @module
 */
import { ELEMENT_BYTES, type PlainTensor } from "../../model/adapter.ts";
import { decodeMeta, type MetaMap } from "../container/meta.ts";
import type { SectionRecord, TensorRecord } from "../container/types.ts";
import { type Decompressor, rawPayload } from "../container/zstd.ts";
import type { ValueChecks } from "./chunks.ts";
import { checkTensor, tensorOf } from "./other-payloads.ts";

export { zstdFor } from "./other-payloads.ts";

/** The map in the chunk of META or ORIG. @throws LqaError CHUNK_CRC, ZSTD_FRAME, META_ENCODING, UNSUPPORTED_COMPRESSION */
export function sectionMap(
  chunk: Uint8Array,
  record: SectionRecord,
  zstd: Decompressor | undefined,
): MetaMap {
  const where = `section ${record.type}`;
  const raw = rawPayload(chunk, record, { zstd, elementSize: 1, where });
  return decodeMeta(raw, record.chunk.offset, where);
}

/**
 * A plain tensor with its data.
 *
 * @param values undefined for a chunk that has passed its checks before
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
  if (values !== undefined) checkTensor(values.options, record, data);
  return tensorOf(record, data);
}
