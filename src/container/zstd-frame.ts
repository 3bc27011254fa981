/**
 * Walks zstd frames without decompressing them (spec clause 7.5, RFC 8878 §3.1.1).
 *
 * No zstd implementation available to JavaScript is strict: native ones drop trailing bytes and accept truncated
 * frames, zstd-codec ignores a missing end, others ignore checksums. So every frame is walked first: exactly the
 * expected content size, no dictionary, a bounded window, blocks that end where the frame ends. Reads headers only.
 *
 * @module
 */
import { fail } from "../errors.ts";
import { viewOf } from "./bytes.ts";

const FRAME_MAGIC = 0xfd2fb528;
/** RFC 8878 §3.1.1.1.2 recommends that decoders support at least this window. */
const MAX_WINDOW = 8 * 1024 * 1024;
const MAX_BLOCK = 128 * 1024;

/**
 * Length of the frame at the start of `bytes`.
 *
 * @param rawLength the content size the frame must declare
 * @param base position of `bytes` in the file, for error offsets
 * @throws LqaError ZSTD_FRAME
 */
export function frameLength(bytes: Uint8Array, rawLength: number, base: number, where: string): number {
  const view = viewOf(bytes);
  const bad = (at: number, expected: string, actual?: string | number): never =>
    fail("ZSTD_FRAME", { where, offset: base + at, expected, actual });
  const need = (at: number, length: number): void => {
    if (length > bytes.length - at) bad(at, `${length} more bytes of the frame`, bytes.length - at);
  };

  need(0, 5);
  if (view.getUint32(0, true) !== FRAME_MAGIC)
    bad(0, "a zstd frame", `0x${view.getUint32(0, true).toString(16)}`);
  const descriptor = bytes[4]!;
  const single = (descriptor & 0x20) !== 0;
  if ((descriptor & 0x18) !== 0) bad(4, "no reserved or unused bits", descriptor);
  if ((descriptor & 0x03) !== 0) bad(4, "no dictionary", descriptor);
  const checksum = (descriptor & 0x04) !== 0 ? 4 : 0;
  let at = 5;
  if (!single) {
    need(at, 1);
    const exponent = 10 + (bytes[at]! >> 3);
    const window = 2 ** exponent + (2 ** exponent / 8) * (bytes[at]! & 7);
    if (window > MAX_WINDOW) bad(at, `a window of at most ${MAX_WINDOW} bytes`, window);
    at++;
  }
  const sizeField = [single ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  if (sizeField === 0) bad(4, "a declared content size", "none");
  need(at, sizeField);
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
    need(at, 3);
    const header = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
    last = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === 3) bad(at, "block type 0 to 2", type);
    if (size > MAX_BLOCK) bad(at, `a block of at most ${MAX_BLOCK} bytes`, size);
    at += 3;
    const stored = type === 1 ? 1 : size;
    need(at, stored);
    at += stored;
  }
  need(at, checksum);
  return at + checksum;
}
