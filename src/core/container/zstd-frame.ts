/**
 * Walks zstd frames without decompressing them (spec clause 7.5, RFC 8878 §3.1.1).
 *
 * No zstd implementation available to JavaScript is strict: native ones drop trailing bytes and accept truncated frames,
 * zstd-codec ignores a missing end, others ignore checksums. So readers walk over every frame first. It must be a single
 * segment of exactly the expected content size, without dictionary and checksum, with blocks that end where the frame ends.
 * The walk reads only headers.
 *
 * @module
 */

import { viewOf } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";

const FRAME_MAGIC = 0xfd2fb528;
/** The frame descriptor, without the two bits that state the length of the content size field. */
const SINGLE_SEGMENT = 0x20;
const MAX_BLOCK = 128 * 1024;

/** A walk over one frame. It takes all bytes of the frame that have arrived, yields if it needs more, and returns its length. */
export type FrameWalk = Generator<void, number, Uint8Array>;

/**
 * Walks over the frame at the start of `left` bytes, which may arrive in pieces. The first `next` starts the walk; each later one
 * takes all bytes from the beginning of the frame on.
 *
 * @param rawLength the content size that the frame must declare
 * @param base position of the frame in the file, for error offsets
 * @throws LqaError ZSTD_FRAME
 */
export function* walkFrame(left: number, rawLength: number, base: number, where: string): FrameWalk {
  const bad = (at: number, expected: string, actual?: string | number): never =>
    fail(KIND.ZSTD_FRAME, { where, offset: base + at, expected, actual });
  let bytes = yield;
  /** Whether the walk must wait for more bytes. Not a generator, because a frame may have a block every three bytes. */
  const short = (at: number, length: number): boolean => {
    if (length > left - at) bad(at, `${length} more bytes of the frame`, left - at);
    return length > bytes.length - at;
  };

  while (short(0, 5)) bytes = yield;
  const magic = viewOf(bytes).getUint32(0, true);
  if (magic !== FRAME_MAGIC) bad(0, "a zstd frame", `0x${magic.toString(16)}`);
  const descriptor = bytes[4]!;
  if ((descriptor & 0x3f) !== SINGLE_SEGMENT)
    bad(4, "a single segment without dictionary and checksum (drafts before 1.0 allowed others)", descriptor);
  let at = 5;
  const sizeField = [1, 2, 4, 8][descriptor >> 6]!;
  while (short(at, sizeField)) bytes = yield;
  const view = viewOf(bytes);
  const declared =
    sizeField === 1
      ? bytes[at]!
      : sizeField === 2
        ? view.getUint16(at, true) + 256
        : sizeField === 4
          ? view.getUint32(at, true)
          : Number(view.getBigUint64(at, true));
  if (declared !== rawLength) bad(at, `content size ${rawLength}`, declared);
  at += sizeField;

  for (let last = false; !last; ) {
    while (short(at, 3)) bytes = yield;
    const header = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
    last = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === 3) bad(at, "block type 0 to 2", type);
    if (size > MAX_BLOCK) bad(at, `a block of at most ${MAX_BLOCK} bytes`, size);
    at += 3;
    const stored = type === 1 ? 1 : size;
    while (short(at, stored)) bytes = yield;
    at += stored;
  }
  return at;
}

/** Length of the frame at the start of `bytes`. As {@link walkFrame}, if all bytes are present. @throws LqaError ZSTD_FRAME */
export function frameLength(bytes: Uint8Array, rawLength: number, base: number, where: string): number {
  const walk = walkFrame(bytes.length, rawLength, base, where);
  walk.next();
  return walk.next(bytes).value as number;
}
