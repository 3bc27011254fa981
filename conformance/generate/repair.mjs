// A changed file with its checksums made to fit again, so that what lies behind them is reached. The parts are taken to be
// where they were in the unchanged file; the content id is left alone.
import { crc32, sha256, u32 } from "./bytes.mjs";

/** `layout`: { indexLength, chunks: [[start, end of the CRC-32]], spans: [[start, end]], digests, trailer }: positions. */
export function repaired(file, { indexLength, chunks, spans, digests, trailer }) {
  const bytes = Uint8Array.from(file);
  const part = (from, to) => bytes.subarray(from, to);
  bytes.set(u32(crc32(part(64, 64 + indexLength))), 56);
  bytes.set(u32(crc32(part(0, 60))), 60);
  for (const [start, end] of chunks) bytes.set(u32(crc32(part(start, end - 4))), end - 4);
  spans.forEach(([start, end], i) => {
    bytes.set(sha256(part(start, end)), digests + 32 * (i + 1));
  });
  bytes.set(sha256(part(0, 64), part(64, 64 + indexLength), part(digests, trailer)), trailer);
  bytes.set(u32(crc32(part(trailer, trailer + 52))), trailer + 52);
  return bytes;
}
