// What the targets that read .lqa files share: the variants, and zstd, loaded once.
import { loadZstdCodec } from "../dist/core/container/zstd.js";
import { sealFile, sealHeader } from "./seal.mjs";

/** Loaded before anything is measured; every variant of the file readers is given this one. */
export const zstd = await loadZstdCodec();

/** A quarter of the inputs stay as they are, a quarter get a sound header, and half get every checksum right. */
export function prepared(input, variant) {
  if ((variant & 3) === 0) return input;
  if ((variant & 3) === 1) return sealHeader(input);
  return sealFile(input, zstd);
}
