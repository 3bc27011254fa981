/**
 * Compresses payloads (spec clauses 7.5 and 7.6): tensors with `zstd` or byte-shuffled `zstd`, sections with `zstd` and the
 * text dictionary (the configuration of a PEFT adapter has 1036 bytes, 473 with plain zstd, 18 to 113 with the dictionary). A
 * compressed payload is a sequence of zstd frames, each a single segment of exactly 1 MiB raw bytes; the last may be shorter.
 *
 * Compression always uses the zstd-codec package, so that the same adapter gives the same bytes on every runtime.
 *
 * @module
 */

import { CRC_BYTES, concat } from "../../common/bytes.ts";
import { EXPANSION, META_BYTES, ZSTD_FRAME_BYTES } from "../../limits.ts";
import { CHOICES, expansionOf } from "./chunks-read.ts";
import type { CompressionName } from "./types.ts";
import type { ZstdCodecFunctions } from "./zstd.ts";

/** Smallest share of a payload that compression must save (spec 7.5). */
const WORTHWHILE = 0.03;

/** A payload as it is stored. */
export interface Stored {
  readonly compression: CompressionName;
  readonly bytes: Uint8Array;
}

/**
 * Stores a payload with the smallest of the allowed compressions; `none` unless another saves at least 3 %.
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

/** What the tensors of a file may expand to beyond 16 times their chunks, so that readers accept it with the section ORIG. */
const MOST_EXPANSION = EXPANSION.core - META_BYTES.core;

/**
 * A function that receives the tensors of a file in order, each with its raw bytes. It returns them as they are stored, and uncompressed
 * where readers may refuse the file otherwise (spec clause 14, expansion): more than a quarter GiB of zeros.
 */
export function expansionBound(): (raw: Uint8Array, stored: Stored) => Stored {
  let total = 0;
  return (raw, stored) => {
    const expansion = expansionOf(raw.length, stored.bytes.length + CRC_BYTES);
    if (total + expansion > MOST_EXPANSION) return { compression: "none", bytes: raw };
    total += expansion;
    return stored;
  };
}

/**
 * Removes the window descriptor of a frame, which zstd writes above 512 KiB. The frame stays valid, because a reference within
 * the window is also one within the content.
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

/** Shuffles elements: all their first bytes, then all their second bytes, and so on (spec 7.6). */
export function shuffle(raw: Uint8Array, elementSize: number): Uint8Array {
  const count = raw.length / elementSize;
  const shuffled = new Uint8Array(raw.length);
  for (let b = 0, to = 0; b < elementSize; b++)
    for (let i = 0, from = b; i < count; i++, from += elementSize) shuffled[to++] = raw[from]!;
  return shuffled;
}
