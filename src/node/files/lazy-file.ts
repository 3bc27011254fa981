/**
 * A file that is read on demand (Node only), so that encoding does not need the memory for its source.
 *
 * Reads are synchronous: the pieces are single tensors, and the caller computes on them immediately.
 *
 * @module
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { OPEN_REGULAR } from "./file.ts";
import { osError, quotePath } from "./os-error.ts";

/** An open file. Its length is the one at the time of opening. */
export interface LazyFile {
  readonly length: number;
  /**
   * The bytes `begin` … `end − 1`, up to the end of the file, as a new array on every call.
   *
   * @throws LqaError IO, also for a file that has become shorter
   */
  subarray(begin: number, end: number): Uint8Array;
  /** Releases the file; it cannot be read afterwards. */
  close(): void;
}

/**
 * Opens a regular file; undefined for pipes and devices, whose bytes can be read only once.
 *
 * @throws LqaError NOT_FOUND, IO
 */
export function openLazyFile(path: string): LazyFile | undefined {
  const call = <T>(run: () => T): T => {
    try {
      return run();
    } catch (error) {
      throw osError(error, path, "read");
    }
  };
  // A pipe that is opened and closed again is broken.
  if (!call(() => statSync(path)).isFile()) return undefined;
  const file = call(() => openSync(path, OPEN_REGULAR));
  const status = fstatSync(file);
  if (!status.isFile()) {
    closeSync(file);
    return undefined;
  }
  const { size } = status;
  return {
    length: size,
    subarray(begin, end) {
      // Not zeroed: it is filled, or the call fails. A buffer of its own, not a piece of Node's pool.
      const { buffer } = Buffer.allocUnsafeSlow(Math.max(0, Math.min(end, size) - begin));
      const bytes = new Uint8Array(buffer);
      for (let filled = 0; filled < bytes.length; ) {
        const read = call(() => readSync(file, bytes, filled, bytes.length - filled, begin + filled));
        if (read === 0)
          fail(KIND.IO, {
            where: quotePath(path),
            expected: `${size} bytes`,
            actual: `${begin + filled}: it has become shorter`,
          });
        filled += read;
      }
      return bytes;
    },
    close: () => closeSync(file),
  };
}
