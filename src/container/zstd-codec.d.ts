declare module "zstd-codec" {
  interface Dictionary {
    readonly close?: () => void;
  }
  interface Simple {
    compress(data: Uint8Array, level?: number): Uint8Array | null;
    decompress(data: Uint8Array): Uint8Array | null;
    compressUsingDict(data: Uint8Array, dictionary: Dictionary): Uint8Array | null;
    decompressUsingDict(data: Uint8Array, dictionary: Dictionary): Uint8Array | null;
  }
  export const ZstdCodec: {
    run(
      callback: (zstd: {
        Simple: new () => Simple;
        Dict: {
          Compression: new (dictionary: Uint8Array, level: number) => Dictionary;
          Decompression: new (dictionary: Uint8Array) => Dictionary;
        };
      }) => void,
    ): void;
  };
}
