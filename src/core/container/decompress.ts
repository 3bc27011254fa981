/**
 * Decompresses payloads (spec clauses 7.5 and 7.6). Memory is bounded: it walks each zstd frame first, and a frame expands to a
 * size that is known before.
 *
 * Readers import this file, and its imports, only through `zstdFor` in `read/other-payloads.ts`, for the first file that has a compressed
 * chunk.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError } from "../../errors.ts";
import { ZSTD_FRAME_BYTES } from "../../limits.ts";
import type { CompressionName } from "./types.ts";
import type { PayloadPlace, Zstd, ZstdCodecFunctions } from "./zstd.ts";
import { frameLength } from "./zstd-frame.ts";

/** Inputs of decompression in addition to the bytes. */
export interface InflateOptions extends PayloadPlace {
  readonly zstd: Zstd | ZstdCodecFunctions | undefined;
}

/**
 * The raw payload of a stored one.
 *
 * @throws LqaError ZSTD_FRAME; UNSUPPORTED_COMPRESSION if `zstd` cannot decompress this compression
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
 * The content of one frame that has passed {@link walkFrames}.
 *
 * @param expected its length
 * @param from position of the frame in the payload
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
 * Checks that `stored` is exactly the frames that `rawLength` implies, and returns their lengths.
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

/** Reports bytes behind the last frame. @throws LqaError ZSTD_FRAME */
export function moreThanFrames(bytes: number, offset: number, where: string): never {
  return fail(KIND.ZSTD_FRAME, {
    where,
    offset,
    expected: "the end of the payload",
    actual: `${bytes} more bytes`,
  });
}

/** Reverses `shuffle`: the input has all first bytes of the elements, then all second bytes, and so on (spec 7.6). */
export function unshuffle(shuffled: Uint8Array, elementSize: number): Uint8Array {
  const count = shuffled.length / elementSize;
  const raw = new Uint8Array(shuffled.length);
  for (let b = 0, from = 0; b < elementSize; b++)
    for (let i = 0, to = b; i < count; i++, to += elementSize) raw[to] = shuffled[from++]!;
  return raw;
}
