/**
 * Stored payload ↔ raw payload (spec clauses 7.5 and 7.6): `none`, `zstd`, byte-shuffled `zstd` for tensors, or `zstd`
 * with the text dictionary for sections (the configuration of a PEFT adapter: 1036 bytes, 473 with plain zstd, 18 to
 * 113 with the dictionary).
 *
 * A compressed payload is a run of zstd frames, each of exactly 1 MiB raw but the last. Memory is bounded while
 * inflating: each frame is walked first and expands to a size known beforehand. The implementation of zstd is a
 * {@link Zstd} given by the caller, native where the runtime has one, or the zstd-codec package, loaded on first use;
 * compression always uses zstd-codec, so that the same adapter gives the same bytes on every runtime.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import { ZSTD_FRAME_BYTES } from "../limits.ts";
import { concat } from "./bytes.ts";
import { type NodeZlib, nodeZlib } from "./runtime.ts";
import { TEXT_DICTIONARY } from "./text-dictionary.ts";
import type { CompressionName } from "./types.ts";
import { frameLength } from "./zstd-frame.ts";
import type { ZstdPackage } from "./zstd-package.ts";

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

/** A payload is worth compressing if that saves this share of it (spec 7.5). */
const WORTHWHILE = 0.03;
/** Weights hold no matches, so a higher level only costs time. */
const WEIGHTS_LEVEL = 1;
/** Sections are small; a level at which the dictionary is searched well costs nothing. */
const TEXT_LEVEL = 9;

let portable: Promise<ZstdCodecFunctions> | undefined;

/** The zstd-codec package: same bytes on every runtime. Loaded on the first call (30 ms), then kept. */
export function loadZstdCodec(): Promise<ZstdCodecFunctions> {
  portable ??= startZstdCodec(import("zstd-codec"));
  return portable;
}

/** An instance of the package, which is a CommonJS one: a bundler may make its export the default export. */
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

/** Result of {@link compress}. */
export interface Stored {
  readonly compression: CompressionName;
  readonly bytes: Uint8Array;
}

/** The ways a kind of payload may be stored, beside as it is (spec 7.5). */
export const CHOICES = {
  module: ["zstd"],
  tensor: ["zstd", "shuffled-zstd"],
  section: ["text-zstd"],
} as const;

/**
 * The smallest of the allowed ways to store a payload; `none` unless another saves at least 3 %.
 *
 * @param elementSize bytes of one element, for shuffling
 */
export function compress(
  raw: Uint8Array,
  kind: keyof typeof CHOICES,
  elementSize: number,
  zstd: ZstdCodecFunctions,
): Stored {
  const frame = {
    zstd: (piece: Uint8Array) => zstd.compress(piece),
    "shuffled-zstd": (piece: Uint8Array) => zstd.compress(shuffle(piece, elementSize)),
    "text-zstd": (piece: Uint8Array) => zstd.compressText(piece),
  };
  const bound = raw.length * (1 - WORTHWHILE);
  let best: Stored = { compression: "none", bytes: raw };
  for (const compression of CHOICES[kind]) {
    if (compression === "shuffled-zstd" && elementSize === 1) continue;
    const bytes = concat(pieces(raw).map(frame[compression]));
    if (bytes.length <= bound && bytes.length < best.bytes.length) best = { compression, bytes };
  }
  return best;
}

/** What inflating a payload needs beside its bytes. */
export interface InflateOptions {
  readonly zstd: Zstd | ZstdCodecFunctions | undefined;
  /** Bytes of one element, for `shuffled-zstd`. */
  readonly elementSize: number;
  /** Position of the payload in the file, for error offsets. */
  readonly base: number;
  readonly where: string;
}

/**
 * The raw payload of a stored one.
 *
 * @throws LqaError ZSTD_FRAME, UNSUPPORTED_COMPRESSION if compressed and no `zstd` was given
 */
export function decompress(
  stored: Uint8Array,
  compression: CompressionName,
  rawLength: number,
  options: InflateOptions,
): Uint8Array {
  if (compression === "none") return stored;
  const lengths = walkFrames(stored, rawLength, options.base, options.where);
  const raw = new Uint8Array(rawLength);
  let from = 0;
  let to = 0;
  for (const length of lengths) {
    const expected = Math.min(ZSTD_FRAME_BYTES.hard, rawLength - to);
    raw.set(inflateFrame(stored.subarray(from, from + length), expected, from, compression, options), to);
    from += length;
    to += expected;
  }
  return raw;
}

/**
 * The content of one frame that was walked.
 *
 * @param from where in the payload it stands
 * @throws LqaError ZSTD_FRAME, UNSUPPORTED_COMPRESSION
 */
export function inflateFrame(
  frame: Uint8Array,
  expected: number,
  from: number,
  compression: CompressionName,
  { zstd, elementSize, base, where }: InflateOptions,
): Uint8Array {
  const inflate =
    compression !== "text-zstd"
      ? zstd?.decompress
      : zstd !== undefined && "decompressText" in zstd
        ? zstd.decompressText
        : undefined;
  if (inflate === undefined)
    fail(KIND.UNSUPPORTED_COMPRESSION, {
      where,
      expected: `an implementation of ${compression}`,
      actual: "none",
    });
  let piece: Uint8Array;
  try {
    piece = inflate(frame, expected);
  } catch (cause) {
    // zstd-codec throws strings and native zlib plain errors: all mean a damaged frame.
    if (isLqaError(cause)) throw cause;
    fail(KIND.ZSTD_FRAME, { where, offset: base + from, expected: "a frame that decompresses", cause });
  }
  if (piece.length !== expected)
    fail(KIND.ZSTD_FRAME, {
      where,
      offset: base + from,
      expected: `${expected} bytes`,
      actual: piece.length,
    });
  return compression === "shuffled-zstd" ? unshuffle(piece, elementSize) : piece;
}

/**
 * Checks that `stored` is exactly the frames that `rawLength` demands, and returns their lengths.
 *
 * @throws LqaError ZSTD_FRAME
 */
export function walkFrames(stored: Uint8Array, rawLength: number, base: number, where: string): number[] {
  const lengths: number[] = [];
  let at = 0;
  for (let left = rawLength; left > 0; left -= ZSTD_FRAME_BYTES.hard) {
    const length = frameLength(stored.subarray(at), Math.min(ZSTD_FRAME_BYTES.hard, left), base + at, where);
    lengths.push(length);
    at += length;
  }
  if (at !== stored.length) moreThanFrames(stored.length - at, base + at, where);
  return lengths;
}

/** @throws LqaError ZSTD_FRAME: so many bytes stand behind the last frame */
export function moreThanFrames(bytes: number, offset: number, where: string): never {
  return fail(KIND.ZSTD_FRAME, {
    where,
    offset,
    expected: "the end of the payload",
    actual: `${bytes} more bytes`,
  });
}

function pieces(raw: Uint8Array): Uint8Array[] {
  const result: Uint8Array[] = [];
  for (let at = 0; at < raw.length; at += ZSTD_FRAME_BYTES.hard)
    result.push(raw.subarray(at, at + ZSTD_FRAME_BYTES.hard));
  return result;
}

/** All first bytes of the elements, then all second bytes, and so on (spec 7.6). */
export function shuffle(raw: Uint8Array, elementSize: number): Uint8Array {
  const count = raw.length / elementSize;
  const shuffled = new Uint8Array(raw.length);
  for (let b = 0, to = 0; b < elementSize; b++)
    for (let i = 0, from = b; i < count; i++, from += elementSize) shuffled[to++] = raw[from]!;
  return shuffled;
}

/** Inverse of {@link shuffle}. */
export function unshuffle(shuffled: Uint8Array, elementSize: number): Uint8Array {
  const count = shuffled.length / elementSize;
  const raw = new Uint8Array(shuffled.length);
  for (let b = 0, from = 0; b < elementSize; b++)
    for (let i = 0, to = b; i < count; i++, to += elementSize) raw[to] = shuffled[from++]!;
  return raw;
}
