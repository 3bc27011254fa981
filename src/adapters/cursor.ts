/**
 * A position in a little-endian binary source file, for readers of formats whose parts follow each other.
 *
 * Every step is checked against the end of the file before it reads, and every length against the remaining bytes
 * before it allocates. So a length field cannot cause more work than the size of the file.
 *
 * @module
 */

import { decodeUtf8 } from "../common/bytes.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { quoteName } from "./json.ts";

/** A position, and the name of the file in errors (`where`). */
export interface Cursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Next byte to read; offsets in errors are positions in `bytes`. */
  at: number;
  readonly where: string;
}

export function cursorOf(bytes: Uint8Array, where: string): Cursor {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), at: 0, where };
}

/** Throws SOURCE_HEADER at the cursor, or at `offset`. */
export function malformed(
  cursor: Cursor,
  expected: string,
  actual: string | number,
  offset: number = cursor.at,
): never {
  return fail(KIND.SOURCE_HEADER, { where: cursor.where, expected, actual, offset });
}

/**
 * Advances by `length` bytes and returns the position before them.
 *
 * @throws LqaError TRUNCATED_SOURCE
 */
export function take(cursor: Cursor, length: number, what: string): number {
  const begin = cursor.at;
  const left = cursor.bytes.length - begin;
  if (length > left) {
    const expected = `${length} bytes for ${what}`;
    fail(KIND.TRUNCATED_SOURCE, { where: cursor.where, expected, actual: left, offset: begin });
  }
  cursor.at = begin + length;
  return begin;
}

export function readU32(cursor: Cursor, what: string): number {
  return cursor.view.getUint32(take(cursor, 4, what), true);
}

export function readI32(cursor: Cursor, what: string): number {
  return cursor.view.getInt32(take(cursor, 4, what), true);
}

/** A 64-bit length or offset. @throws LqaError TRUNCATED_SOURCE; SOURCE_HEADER above 2^53 − 1 */
export function readU64(cursor: Cursor, what: string): number {
  const begin = take(cursor, 8, what);
  const value = cursor.view.getUint32(begin + 4, true) * 2 ** 32 + cursor.view.getUint32(begin, true);
  if (value <= Number.MAX_SAFE_INTEGER) return value;
  return malformed(cursor, `${what} below 2^53`, value, begin);
}

/**
 * A 64-bit count of items that take at least `least` bytes each.
 *
 * @throws LqaError TRUNCATED_SOURCE if the rest of the file cannot hold that many; SOURCE_HEADER above 2^53 − 1
 */
export function readCount(cursor: Cursor, least: number, what: string): number {
  const begin = cursor.at;
  const count = readU64(cursor, what);
  assertFits(cursor, count, least, what, begin);
  return count;
}

/** @throws LqaError TRUNCATED_SOURCE if the rest of the file is shorter than `count` items of `least` bytes */
export function assertFits(cursor: Cursor, count: number, least: number, what: string, offset: number): void {
  const most = Math.floor((cursor.bytes.length - cursor.at) / least);
  if (count <= most) return;
  const expected = `${what} of at most ${most} by the bytes that follow`;
  fail(KIND.TRUNCATED_SOURCE, { where: cursor.where, expected, actual: count, offset });
}

/** Text of `length` bytes. @throws LqaError TRUNCATED_SOURCE; SOURCE_HEADER if it is not UTF-8 */
export function readText(cursor: Cursor, length: number, what: string): string {
  const begin = take(cursor, length, what);
  try {
    return decodeUtf8(cursor.bytes.subarray(begin, begin + length));
  } catch {
    return malformed(cursor, `${what} in UTF-8`, "bytes that are not", begin);
  }
}

/** A name that is safe to print: not empty, no NUL. @throws LqaError as {@link readText} */
export function readName(cursor: Cursor, length: number, what: string): string {
  const begin = cursor.at;
  const name = readText(cursor, length, what);
  if (name !== "" && !name.includes("\0")) return name;
  return malformed(cursor, `${what} that is not empty and has no NUL`, quoteName(name), begin);
}
