/**
 * What the compressed chunks of a file need, loaded when a file has some: the checks on frames, and an implementation of
 * zstd, which is the package only where there is nothing native, or for the text dictionary.
 *
 * @module
 */
import type { ChunkRecord } from "../container/types.ts";
import { type Decompressor, loadZstd, loadZstdCodec, type Zstd } from "../container/zstd.ts";

/** For these chunks; undefined if all of them are stored as they are. `options.zstd` goes before everything else. */
export async function zstdFor(
  records: readonly Pick<ChunkRecord, "compression">[],
  options: { readonly zstd?: Zstd | undefined },
): Promise<Decompressor | undefined> {
  if (records.every(({ compression }) => compression === "none")) return undefined;
  const text = records.some(({ compression }) => compression === "text-zstd");
  const [{ decompressorOf }, zstd] = await Promise.all([
    import("../container/inflate.ts"),
    text ? loadZstdCodec() : (options.zstd ?? loadZstd()),
  ]);
  return decompressorOf(text ? { ...zstd, ...options.zstd } : zstd);
}
