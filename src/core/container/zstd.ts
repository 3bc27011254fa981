/**
 * Implementations of zstd (spec clause 7.5): given by the caller, native where the runtime has one, or the zstd-codec
 * package. Here is only what loads them: files without compressed chunks need none.
 *
 * @module
 */
import { type NodeZlib, nodeZlib } from "./runtime.ts";
import type { ChunkRecord, CompressionName } from "./types.ts";

/** A zstd decompressor. */
export interface Zstd {
  /** The content of one frame of known content size. May throw anything. */
  decompress(frame: Uint8Array, rawLength: number): Uint8Array;
}

/** The zstd-codec package: reads and writes, with and without the text dictionary. */
export interface ZstdCodecFunctions extends Zstd {
  /** One frame that declares its content size. */
  compress(raw: Uint8Array): Uint8Array;
  compressText(raw: Uint8Array): Uint8Array;
  decompressText(frame: Uint8Array, rawLength: number): Uint8Array;
}

/** The place of a payload, and what it consists of. */
export interface PayloadPlace {
  /** Bytes of one element, for `shuffled-zstd`. */
  readonly elementSize: number;
  /** Position of the payload in the file, for error offsets. */
  readonly base: number;
  readonly where: string;
}

/** A payload that is being inflated. */
export interface Inflater {
  /** The next stored bytes; their memory may be used again afterwards. @throws LqaError BUDGET for a frame that is too long */
  push(stored: Uint8Array): void;
  /** All stored bytes were given. @throws LqaError as {@link Decompressor.decompress} */
  finish(): void;
}

/** How a payload that arrives in pieces is inflated. */
export interface InflaterOptions extends Omit<PayloadPlace, "base"> {
  /** Most bytes of one stored frame that are held. */
  readonly most: number;
  /** Is given the raw payload, at most 1 MiB at a time, as long as nothing is wrong. */
  readonly receive: (raw: Uint8Array) => void;
}

/** An implementation of zstd behind the checks of what it is given: loaded together, for files that need them. */
export interface Decompressor {
  /** The raw payload of a stored one that is compressed. @throws LqaError ZSTD_FRAME, UNSUPPORTED_COMPRESSION */
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

/** The zstd-codec package: same bytes on every runtime. Loaded on the first call (30 ms), then kept. */
export function loadZstdCodec(): Promise<ZstdCodecFunctions> {
  portable ??= import("./portable-zstd.ts").then(({ startZstdCodec }) =>
    startZstdCodec(import("zstd-codec")),
  );
  return portable;
}

/** The best implementation for reading: native (Node ≥ 22.15, Bun, Deno), else zstd-codec. */
export async function loadZstd(): Promise<Zstd> {
  return zstdOf(nodeZlib);
}

/** Of a runtime with this `node:zlib`. */
export async function zstdOf(zlib: NodeZlib | undefined): Promise<Zstd> {
  const native = zlib?.zstdDecompressSync;
  if (native === undefined) return loadZstdCodec();
  return { decompress: (frame, rawLength) => native(frame, { maxOutputLength: Math.max(rawLength, 1) }) };
}

/**
 * What compressed chunks need, loaded when a file has some: the checks on frames, and an implementation of zstd, which is
 * the package only where there is nothing native, or for the text dictionary.
 *
 * @returns undefined if all of these chunks are stored as they are
 * @param options.zstd goes before everything else
 */
export async function zstdFor(
  records: readonly Pick<ChunkRecord, "compression">[],
  options: { readonly zstd?: Zstd | undefined },
): Promise<Decompressor | undefined> {
  if (records.every(({ compression }) => compression === "none")) return undefined;
  const text = records.some(({ compression }) => compression === "text-zstd");
  const [{ decompressorOf }, zstd] = await Promise.all([
    import("./inflate.ts"),
    text ? loadZstdCodec() : (options.zstd ?? loadZstd()),
  ]);
  return decompressorOf(text ? { ...zstd, ...options.zstd } : zstd);
}
