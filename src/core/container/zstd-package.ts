/**
 * Types of the parts of the package zstd-codec that this library uses. The package has no types.
 *
 * @module
 */

interface Dictionary {
  readonly close?: () => void;
}

interface Simple {
  compress(data: Uint8Array, level?: number): Uint8Array | null;
  decompress(data: Uint8Array): Uint8Array | null;
  compressUsingDict(data: Uint8Array, dictionary: Dictionary): Uint8Array | null;
  decompressUsingDict(data: Uint8Array, dictionary: Dictionary): Uint8Array | null;
}

/** The exports of the package. */
export interface ZstdPackage {
  readonly ZstdCodec: {
    run(
      callback: (zstd: {
        readonly Simple: new () => Simple;
        readonly Dict: {
          readonly Compression: new (dictionary: Uint8Array, level: number) => Dictionary;
          readonly Decompression: new (dictionary: Uint8Array) => Dictionary;
        };
      }) => void,
    ): void;
  };
}
