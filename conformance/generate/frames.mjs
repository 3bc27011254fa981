// zstd frames by hand (RFC 8878 and spec clauses 7.5, 7.6): blocks that are stored or repeat one byte need no compressor,
// so the suite does not depend on one. Frames with entropy-coded blocks are constants at the end.
import { concat, u8, u16, u32, u64, zeros } from "./bytes.mjs";

const FRAME = 2 ** 20;
export const rawBlock = (bytes) => ({ type: 0, size: bytes.length, body: bytes });
export const rleBlock = (byte, count) => ({ type: 1, size: count, body: u8(byte) });

/** A frame. `over` lies: magic, descriptor bits, content size, a window, a checksum, `last` of the last block. */
export function frame(contentSize, blocks, over = {}) {
  const {
    single = true,
    width = contentSize < 256 ? 1 : contentSize < 65792 ? 2 : 4,
    window = 0x58,
    last = 1,
  } = over;
  const flag = over.flag ?? { 0: 0, 1: 0, 2: 1, 4: 2, 8: 3 }[width];
  const declared = over.declared ?? contentSize;
  const size = {
    0: zeros(0),
    1: u8(declared & 255),
    2: u16((declared - 256) & 65535),
    4: u32(declared),
    8: u64(declared),
  }[width];
  const descriptor = flag * 64 + (single ? 32 : 0) + (over.checksum ? 4 : 0) + (over.bits ?? 0);
  const heads = blocks.map(({ type, size, body }, i) => {
    const head = (i === blocks.length - 1 ? last : 0) + 2 * type + 8 * size;
    return concat(u8(head & 255, (head >> 8) & 255, head >> 16), body);
  });
  return concat(
    u32(over.magic ?? 0xfd2fb528),
    u8(descriptor),
    single ? zeros(0) : u8(window),
    size,
    ...heads,
    over.checksum ?? zeros(0),
  );
}

/** Blocks for these bytes: runs of one byte, and the rest as it is. */
export function blocksOf(bytes) {
  const blocks = [];
  let from = 0;
  const flush = (to) => {
    if (to > from) blocks.push(rawBlock(bytes.subarray(from, to)));
  };
  for (let at = 0; at < bytes.length; ) {
    let end = at + 1;
    while (end < bytes.length && bytes[end] === bytes[at] && end - at < 2 ** 17) end++;
    if (end - at >= 8) {
      flush(at);
      blocks.push(rleBlock(bytes[at], end - at));
      from = end;
    }
    at = end;
  }
  flush(bytes.length);
  return blocks;
}

/** 7.6 */
export function shuffled(bytes, width) {
  const count = bytes.length / width;
  return Uint8Array.from(
    { length: bytes.length },
    (_, i) => bytes[(i % count) * width + Math.floor(i / count)],
  );
}

/** The frames of a payload, shuffled if elements have more than one byte. */
export function shortFrames(payload, width = 1) {
  const parts = [];
  for (let at = 0; at < payload.length; at += FRAME) {
    const piece = payload.subarray(at, at + FRAME);
    const bytes = width > 1 ? shuffled(piece, width) : piece;
    parts.push(frame(bytes.length, blocksOf(bytes)));
  }
  return concat(...parts);
}
