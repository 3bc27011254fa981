/**
 * Raw payload → stored payload (spec clauses 7.5 and 7.6): `none`, `zstd`, byte-shuffled `zstd` for tensors, or `zstd`
 * with the text dictionary for sections (the configuration of a PEFT adapter: 1036 bytes, 473 with plain zstd, 18 to
 * 113 with the dictionary). A compressed payload is a run of zstd frames, each of exactly 1 MiB raw but the last, and each a
 * single segment.
 *
 * Compression always uses the zstd-codec package, so that the same adapter gives the same bytes on every runtime.
 *
 * @module
 */
import { ZSTD_FRAME_BYTES } from "../../limits.ts";
import { concat } from "./bytes.ts";
import { CHOICES } from "./chunks-read.ts";
import type { CompressionName } from "./types.ts";
import type { ZstdCodecFunctions } from "./zstd.ts";

/** A payload is worth compressing if that saves this share of it (spec 7.5). */
const WORTHWHILE = 0.03;

/** Result of {@link compress}. */
export interface Stored {
  readonly compression: CompressionName;
  readonly bytes: Uint8Array;
}

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
    zstd: (piece: Uint8Array) => singleSegment(zstd.compress(piece)),
    "shuffled-zstd": (piece: Uint8Array) => singleSegment(zstd.compress(shuffle(piece, elementSize))),
    "text-zstd": (piece: Uint8Array) => singleSegment(zstd.compressText(piece)),
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

/**
 * A frame without a window descriptor: what refers back by at most a window does so within the content, too. zstd gives frames
 * above 512 KiB a window.
 */
function singleSegment(frame: Uint8Array): Uint8Array {
  const descriptor = frame[4]!;
  if ((descriptor & 0x20) !== 0) return frame;
  const single = new Uint8Array(frame.length - 1);
  single.set(frame.subarray(0, 4));
  single[4] = descriptor | 0x20;
  single.set(frame.subarray(6), 5);
  return single;
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
