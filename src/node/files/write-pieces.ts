/**
 * Writes bytes to a new file, or to a device or pipe, and flushes them to disk (Node only).
 *
 * @module
 */
import { constants, open } from "node:fs/promises";

/** Bytes per write request to the system; Node refuses more than 2 GiB. */
const STEP = 64 * 1024 * 1024;

/**
 * Writes and flushes a file.
 *
 * @param fresh true: a new file, never through a link; false: an existing device or pipe
 * @returns number of bytes written
 * @throws what the system or the pieces throw
 */
export async function writePieces(
  path: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  fresh = true,
): Promise<number> {
  const handle = await open(path, fresh ? "wx" : constants.O_WRONLY);
  let written = 0;
  try {
    for await (const bytes of pieces) {
      for (let at = 0; at < bytes.length; ) {
        at += (await handle.write(bytes, at, Math.min(STEP, bytes.length - at))).bytesWritten;
      }
      written += bytes.length;
    }
    if (fresh) await handle.sync();
  } finally {
    await handle.close();
  }
  return written;
}
