/**
 * Byte sources: the one interface through which readers read bytes that are not in memory yet.
 *
 * A source reads ranges. Its reader interprets the bytes, and checks that none is missing. This file has the interface and
 * the two sources that run everywhere, memory and `Blob` (such as a `File` of an input element). Files by path are in
 * `node/files/file.ts`, which needs Node.
 *
 * @module
 */

import * as KIND from "../error-catalogue.ts";
import { assertNotAborted, fail } from "../errors.ts";

/** Random access to bytes. */
export interface ByteSource {
  /** Number of bytes, if it is known before reading. */
  readonly size?: number | undefined;
  /**
   * True if all reads see one state of the bytes, or fail: memory, a `Blob`, a file that stays open. Readers of any other
   * source prove each chunk by its SHA-256, because a server may send one file now and another one later.
   */
  readonly stable?: boolean | undefined;
  /** True if each read returns new memory that nothing else writes to. A pool then keeps that instead of a copy. */
  readonly fresh?: boolean | undefined;
  /**
   * True once the source has compared all bytes of the file with a digest that came from elsewhere, as from the list of files of a hub.
   */
  readonly compared?: boolean | undefined;
  /**
   * Resolves to the `length` bytes from `offset` on, or to fewer (even none) if the source ends before them.
   * The caller may keep the array, and must not write to it.
   *
   * @throws LqaError ABORTED once `signal` is aborted, IO if the system fails to deliver
   * @throws RangeError for an offset or length that is not a non-negative integer
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * As `read`, into the memory of the caller, if the source can do that: fills the beginning of `target`, and resolves to the number
   * of bytes. Does not write to `target` afterwards; if it rejects, it may.
   */
  readInto?(target: Uint8Array, offset: number, signal?: AbortSignal): Promise<number>;
}

/** A source over an array. Its reads return views, not copies. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    stable: true,
    async read(offset, length, signal) {
      assertRange(offset, length);
      assertNotAborted(signal);
      return bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + length, bytes.length));
    },
  };
}

/** A source over a `Blob` or `File`. */
export function blobSource(blob: Blob): ByteSource {
  return {
    size: blob.size,
    stable: true,
    fresh: true,
    async read(offset, length, signal) {
      assertRange(offset, length);
      assertNotAborted(signal);
      let buffer: ArrayBuffer;
      try {
        buffer = await blob.slice(offset, offset + length).arrayBuffer();
      } catch (cause) {
        // Browsers reject with NotReadableError when the file behind a File object changed or went away.
        return fail(KIND.IO, { where: `blob of ${blob.size} bytes`, offset, cause });
      }
      assertNotAborted(signal);
      return new Uint8Array(buffer);
    },
  };
}

/** Checks a range. @throws RangeError unless both numbers are non-negative integers whose sum is a safe integer */
export function assertRange(offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && Number.isSafeInteger(offset) && Number.isSafeInteger(length)) {
    if (Number.isSafeInteger(offset + length)) return;
  }
  throw new RangeError(`cannot read ${length} bytes at ${offset}: expected non-negative integers`);
}

/** True for an object of a built-in class, of any realm. */
export function isOfClass(value: unknown, name: string): boolean {
  return Object.prototype.toString.call(value) === `[object ${name}]`;
}

/** True for a Uint8Array of any realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && isOfClass(value, "Uint8Array");
}

/** The bytes of an input that is in memory; undefined for any other. */
export function bytesOf(input: unknown): Uint8Array | undefined {
  if (isBytes(input)) return input;
  return isOfClass(input, "ArrayBuffer") ? new Uint8Array(input as ArrayBuffer) : undefined;
}

/** A signal that aborts when one of two does; undefined if both are undefined. */
export function eitherSignal(
  x: AbortSignal | undefined,
  y: AbortSignal | undefined,
): AbortSignal | undefined {
  if (x === undefined || y === undefined || x === y) return x ?? y;
  return AbortSignal.any([x, y]);
}
