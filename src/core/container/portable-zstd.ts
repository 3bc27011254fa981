/**
 * Starts the zstd-codec package, with the text dictionary of sections (spec clause 7.5). It gives the same bytes on every runtime.
 *
 * @module
 */
import { TEXT_DICTIONARY } from "./text-dictionary.ts";
import type { ZstdCodecFunctions } from "./zstd.ts";
import type { ZstdPackage } from "./zstd-package.ts";

/** Weights have no matches, so a higher level only costs time. */
const WEIGHTS_LEVEL = 1;
/** Sections are small, so a level that searches the dictionary well costs nothing. */
const TEXT_LEVEL = 9;

/** Starts the package. It is CommonJS, so a bundler may make its exports the default export. */
export function startZstdCodec(
  loading: Promise<ZstdPackage | { readonly default: ZstdPackage }>,
): Promise<ZstdCodecFunctions> {
  return loading.then((module) => {
    const { ZstdCodec } = "default" in module ? module.default : module;
    return new Promise((resolve) => {
      ZstdCodec.run((zstd) => {
        const simple = new zstd.Simple();
        const text = new TextEncoder().encode(TEXT_DICTIONARY);
        const forWriting = new zstd.Dict.Compression(text, TEXT_LEVEL);
        const forReading = new zstd.Dict.Decompression(text);
        const result = (bytes: Uint8Array | null): Uint8Array => {
          if (bytes === null) throw new Error("zstd-codec refused the input");
          return bytes;
        };
        resolve({
          compress: (raw) => result(simple.compress(raw, WEIGHTS_LEVEL)),
          decompress: (frame) => result(simple.decompress(frame)),
          compressText: (raw) => result(simple.compressUsingDict(raw, forWriting)),
          decompressText: (frame) => result(simple.decompressUsingDict(frame, forReading)),
        });
      });
    });
  });
}
