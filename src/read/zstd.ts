/**
 * Which implementation of zstd a file needs: none is loaded for chunks that are stored as they are, and the package only
 * where there is nothing native, or for the text dictionary.
 *
 * @module
 */
import { loadZstd, loadZstdCodec, type Zstd } from "../container/compression.ts";
import type { ChunkRecord } from "../container/types.ts";

/** What these chunks need. `options.zstd` goes before everything else. */
export async function zstdFor(
  records: readonly Pick<ChunkRecord, "compression">[],
  options: { readonly zstd?: Zstd | undefined },
): Promise<Zstd | undefined> {
  if (records.some(({ compression }) => compression === "text-zstd")) {
    const codec = await loadZstdCodec();
    return options.zstd === undefined ? codec : { ...codec, ...options.zstd };
  }
  if (records.some(({ compression }) => compression !== "none")) return options.zstd ?? loadZstd();
  return undefined;
}
