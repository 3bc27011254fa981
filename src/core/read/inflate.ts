/**
 * Inflates a compressed payload while it arrives (spec clause 7.5), for callers that process it piece by piece and hold only
 * one frame, whatever the length of the payload. It keeps errors until the end, because the checksum, which takes precedence,
 * comes after the payload. The order of errors is that of `decompress`: those of the walk over all frames, then those of
 * inflating.
 *
 * @module
 */

import { CRC_BYTES } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { caught, fail, type LqaError } from "../../errors.ts";
import { ZSTD_FRAME_BYTES } from "../../limits.ts";
import { decompress, type InflateOptions, inflateFrame, moreThanFrames } from "../container/decompress.ts";
import type { ChunkRecord } from "../container/types.ts";
import type { Decompressor, Inflater, InflaterOptions, Zstd, ZstdCodecFunctions } from "../container/zstd.ts";
import { type FrameWalk, walkFrame } from "../container/zstd-frame.ts";

/** A decompressor that uses this implementation. */
export function decompressorOf(zstd: Zstd | ZstdCodecFunctions): Decompressor {
  return {
    decompress: (stored, compression, rawLength, place) =>
      decompress(stored, compression, rawLength, { ...place, zstd }),
    inflater: (record, options) => inflater(record, { ...options, zstd }),
  };
}

/** Begins to inflate a payload. */
export function inflater(
  { compression, payload, chunk }: ChunkRecord,
  how: InflaterOptions & Pick<InflateOptions, "zstd">,
): Inflater {
  const { where, most, receive } = how;
  const base = chunk.offset;
  const storedLength = chunk.length - CRC_BYTES;
  const arrived = queue(most);
  /** Stored bytes (`from`) and raw bytes (`to`) of the frames before this one. */
  let from = 0;
  let to = 0;
  let walk: FrameWalk | undefined;
  /** The first error of the walk, and the first of inflating. */
  let broken: LqaError | undefined;
  let damaged: LqaError | undefined;

  const next = (): boolean => {
    const expected = Math.min(ZSTD_FRAME_BYTES.hard, payload - to);
    if (expected === 0) {
      if (from < storedLength) moreThanFrames(storedLength - from, base + from, where);
      return false;
    }
    if (walk === undefined) {
      walk = walkFrame(storedLength - from, expected, base + from, where);
      walk.next();
    }
    const step = walk.next(arrived.bytes());
    if (step.done !== true) return false;
    walk = undefined;
    const frame = arrived.take(step.value);
    if (damaged === undefined)
      damaged = caught(() => receive(inflateFrame(frame, expected, from, compression, { ...how, base })));
    from += frame.length;
    to += expected;
    return true;
  };

  return {
    push(stored) {
      if (broken !== undefined) return;
      if (arrived.bytes().length > most)
        fail(KIND.BUDGET, {
          where,
          offset: base + from,
          expected: `frames of at most ${most} stored bytes`,
          actual: "more",
        });
      arrived.add(stored);
      broken = caught(() => {
        while (next());
      });
    },
    finish() {
      if (broken !== undefined) throw broken;
      if (damaged !== undefined) throw damaged;
    },
  };
}

/** A queue of bytes that have arrived, about `most` of them. Views are valid until the next `add`. */
function queue(most: number): {
  add(piece: Uint8Array): void;
  bytes(): Uint8Array;
  take(count: number): Uint8Array;
} {
  let buffer = new Uint8Array(0);
  let start = 0;
  let end = 0;
  return {
    add(piece) {
      const held = end - start;
      if (held + piece.length > buffer.length) {
        const larger = new Uint8Array(held + piece.length + Math.min(held, most));
        larger.set(buffer.subarray(start, end));
        buffer = larger;
      } else buffer.copyWithin(0, start, end);
      buffer.set(piece, held);
      start = 0;
      end = held + piece.length;
    },
    bytes: () => buffer.subarray(start, end),
    take(count) {
      start += count;
      return buffer.subarray(start - count, start);
    },
  };
}
