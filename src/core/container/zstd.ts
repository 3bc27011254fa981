/**
 * Loads an implementation of zstd (spec clause 7.5): a native one if the runtime has it, or the zstd-codec package. Files without
 * compressed chunks need none (`zstdFor` in `read/other-payloads.ts`).
 *
 * @module
 */
import { CRC_BYTES } from "../../common/bytes.ts";
import { type NodeZlib, nodeZlib } from "../../common/runtime.ts";
import { openChunk } from "./layout.ts";
import type { ChunkRecord, CompressionName } from "./types.ts";

/** A zstd decompressor. */
export interface Zstd {
  /** The content of one frame, of `rawLength` bytes. May throw any error. */
  decompress(frame: Uint8Array, rawLength: number): Uint8Array;
}

/** The functions of the zstd-codec package: it reads and writes, with and without the text dictionary. */
export interface ZstdCodecFunctions extends Zstd {
  /** One frame that declares its content size. */
  compress(raw: Uint8Array): Uint8Array;
  compressText(raw: Uint8Array): Uint8Array;
  decompressText(frame: Uint8Array, rawLength: number): Uint8Array;
}

/** The place of a payload, and the size of its elements. */
export interface PayloadPlace {
  /** Bytes of one element, for `shuffled-zstd`. */
  readonly elementSize: number;
  /** Position of the payload in the file, for error offsets. */
  readonly base: number;
  readonly where: string;
}

/** Inflates one payload that arrives in pieces. */
export interface Inflater {
  /** Takes the next stored bytes. You may reuse their memory afterwards. @throws LqaError BUDGET for a frame that is too long */
  push(stored: Uint8Array): void;
  /** Reports the end of the stored bytes. @throws LqaError as {@link Decompressor.decompress} */
  finish(): void;
}

/** Options of an {@link Inflater}. */
export interface InflaterOptions extends Omit<PayloadPlace, "base"> {
  /** Most stored bytes of one frame in memory. */
  readonly most: number;
  /** Receives the raw payload, at most 1 MiB at a time, up to the first error. */
  readonly receive: (raw: Uint8Array) => void;
}

/** An implementation of zstd, with checks of its input. Readers load both together, for files that need them. */
export interface Decompressor {
  /** The raw payload of a compressed one. @throws LqaError ZSTD_FRAME, UNSUPPORTED_COMPRESSION */
  decompress(
    stored: Uint8Array,
    compression: CompressionName,
    rawLength: number,
    place: PayloadPlace,
  ): Uint8Array;
  /** Begins to inflate a payload that arrives in pieces. */
  inflater(record: ChunkRecord, options: InflaterOptions): Inflater;
}

let portable: Promise<ZstdCodecFunctions> | undefined;

/** The zstd-codec package, which gives the same bytes on every runtime. The first call loads it (30 ms). */
export function loadZstdCodec(): Promise<ZstdCodecFunctions> {
  portable ??= import("./portable-zstd.ts").then(({ startZstdCodec }) =>
    startZstdCodec(import("zstd-codec")),
  );
  return portable;
}

/** The best implementation for reading: native (Node ≥ 22.15, Bun, Deno), otherwise zstd-codec. */
export async function loadZstd(): Promise<Zstd> {
  return zstdOf(nodeZlib);
}

/** The best implementation for reading in a runtime with this `node:zlib`. */
export async function zstdOf(zlib: NodeZlib | undefined): Promise<Zstd> {
  const native = zlib?.zstdDecompressSync;
  if (native === undefined) return loadZstdCodec();
  return { decompress: (frame, rawLength) => native(frame, { maxOutputLength: Math.max(rawLength, 1) }) };
}

/**
 * The raw payload of a chunk, after the check of its CRC-32.
 *
 * @param chunk exactly the bytes of the chunk, CRC-32 included
 * @param options.zstd required for a compressed chunk
 * @param options.proven true if its CRC-32 has been checked before
 * @throws LqaError CHUNK_CRC, ZSTD_FRAME, UNSUPPORTED_COMPRESSION
 */
export function rawPayload(
  chunk: Uint8Array,
  record: ChunkRecord,
  options: { zstd: Decompressor | undefined; elementSize: number; where: string; proven?: boolean },
): Uint8Array {
  const { chunk: extent, compression, payload } = record;
  const { zstd, elementSize, where, proven } = options;
  const stored = proven ? chunk.subarray(0, -CRC_BYTES) : openChunk(chunk, extent.offset, where);
  if (compression === "none") return stored;
  return zstd!.decompress(stored, compression, payload, { elementSize, where, base: extent.offset });
}
