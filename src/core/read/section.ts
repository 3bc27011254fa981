/**
 * A section → its map (spec clauses 9 and 10), as `chunks.ts` does for modules and tensors. Apart from those because it needs
 * MessagePack, and computing with a file needs no section.
 *
 * @module
 */
import { rawPayload } from "../container/chunk.ts";
import { decodeMeta, type MetaMap } from "../container/meta.ts";
import type { SectionRecord } from "../container/types.ts";
import type { Decompressor } from "../container/zstd.ts";

/** For META and ORIG. @throws LqaError CHUNK_CRC, ZSTD_FRAME, META_ENCODING, UNSUPPORTED_COMPRESSION */
export function sectionMap(
  chunk: Uint8Array,
  record: SectionRecord,
  zstd: Decompressor | undefined,
): MetaMap {
  const where = `section ${record.type}`;
  const raw = rawPayload(chunk, record, { zstd, elementSize: 1, where });
  return decodeMeta(raw, record.chunk.offset, where);
}
