/**
 * Reading files by path (Node only): as a source of ranges, or whole.
 *
 * Works for regular files and for pipes and devices (`/dev/stdin`), whose size is not known before they are read.
 *
 * @module
 */
import { fstatSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import * as KIND from "../error-catalogue.ts";
import { fail, LqaError } from "../errors.ts";
import { osError, quotePath } from "./os-error.ts";
import { assertNotAborted, assertRange, type ByteSource } from "./source.ts";

/** Bytes asked of the system at once. Above 2 GiB Node refuses; 16 MiB lets an abort take effect soon. */
const STEP = 16 * 1024 * 1024;

/** The largest file {@link readWholeFile} takes: it stops an upload by mistake from filling the memory. */
export const MAX_WHOLE_FILE: number = 4 * 1024 ** 3;

/**
 * A source over a file that is held open: whatever takes the file's name meanwhile, this one is read. A file that is
 * written to after it was opened is an error, which its size and time of change tell.
 */
export interface FileSource extends ByteSource {
  readonly size: number;
  readonly stable: true;
  /** Releases the file. The source is of no use afterwards. */
  close(): Promise<void>;
}

/**
 * Opens a regular file as a byte source. The caller closes it.
 *
 * @throws LqaError NOT_FOUND, or IO with the system's reason (a directory or device, no permission…). Reads throw IO once
 *   the file was written to.
 */
export async function openFileSource(path: string): Promise<FileSource> {
  const handle = await opened(path);
  try {
    const status = await handle.stat();
    if (!status.isFile()) throw notRegular(path, status.isDirectory());
    return {
      size: status.size,
      stable: true,
      async read(offset, length, signal) {
        assertRange(offset, length);
        const target = new Uint8Array(Math.max(0, Math.min(length, status.size - offset)));
        const filled = await readInto(handle, path, target, offset, signal);
        // Synchronous: 2 µs, where a turn through the thread pool takes 30.
        const { size, mtimeMs } = fstatSync(handle.fd);
        if (size !== status.size || mtimeMs !== status.mtimeMs) throw changed(path, status.size, size);
        return filled === target.length ? target : target.subarray(0, filled);
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw osError(error, path, "read");
  }
}

/** A file, a pipe or a device, read from its first byte to its last. */
export interface FileReader {
  /** Of a regular file. */
  readonly size: number | undefined;
  /** Fills the beginning of `target`; resolves to how many bytes that were, 0 at the end. */
  read(target: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

/**
 * Opens a file for reading in order, into memory of the caller. The caller closes it.
 *
 * @throws LqaError NOT_FOUND, or IO with the system's reason; also `read`
 */
export async function openFileReader(path: string): Promise<FileReader> {
  const handle = await opened(path);
  try {
    const status = await handle.stat();
    if (status.isDirectory()) throw notRegular(path, true);
    return {
      size: status.isFile() ? status.size : undefined,
      async read(target) {
        try {
          return (await handle.read(target, 0, Math.min(STEP, target.length), null)).bytesRead;
        } catch (error) {
          throw osError(error, path, "read");
        }
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw osError(error, path, "read");
  }
}

/**
 * The bytes of a file, a pipe or a device.
 *
 * @throws LqaError NOT_FOUND; IO with the system's reason; BUDGET above `MAX_WHOLE_FILE` bytes or where the
 * memory does not suffice; ABORTED.
 */
export async function readWholeFile(path: string, signal?: AbortSignal): Promise<Uint8Array> {
  const handle = await opened(path);
  try {
    const status = await handle.stat();
    if (status.isDirectory()) throw notRegular(path, true);
    // Files that the system makes when they are read, such as those in /proc, say that they are empty.
    if (!status.isFile() || status.size === 0) return await readStream(handle, path, signal);
    if (status.size > MAX_WHOLE_FILE) throw tooLarge(path, status.size);
    const target = allocate(path, status.size);
    const filled = await readInto(handle, path, target, 0, signal);
    return filled === target.length ? target : target.slice(0, filled);
  } catch (error) {
    throw osError(error, path, "read");
  } finally {
    await handle.close();
  }
}

async function opened(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    throw osError(error, path, "read");
  }
}

/** Fills `target` from `offset` on; returns how many bytes there were. */
async function readInto(
  handle: FileHandle,
  path: string,
  target: Uint8Array,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  let filled = 0;
  while (filled < target.length) {
    assertNotAborted(signal);
    try {
      const step = Math.min(STEP, target.length - filled);
      const { bytesRead } = await handle.read(target, filled, step, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    } catch (error) {
      throw osError(error, path, "read");
    }
  }
  assertNotAborted(signal);
  return filled;
}

async function readStream(handle: FileHandle, path: string, signal?: AbortSignal): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    assertNotAborted(signal);
    const { bytesRead, buffer } = await handle.read(new Uint8Array(1024 * 1024), 0, 1024 * 1024, null);
    if (bytesRead === 0) break;
    pieces.push(buffer.subarray(0, bytesRead));
    total += bytesRead;
    if (total > MAX_WHOLE_FILE) throw tooLarge(path, total);
  }
  const bytes = allocate(path, total);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function allocate(path: string, size: number): Uint8Array {
  try {
    return new Uint8Array(size);
  } catch (cause) {
    return fail(KIND.BUDGET, { where: quotePath(path), actual: `${size} bytes to allocate`, cause });
  }
}

function notRegular(path: string, directory: boolean): Error {
  const error = new Error(directory ? "is a directory" : "is not a regular file") as Error & { code: string };
  error.code = directory ? "EISDIR" : "EINVAL";
  return osError(error, path, "read");
}

function changed(path: string, expected: number, actual: number): LqaError {
  return new LqaError(KIND.IO, {
    where: quotePath(path),
    expected: `the file of ${expected} bytes that was opened`,
    actual: `${actual} bytes, written to meanwhile`,
    advice: "Open it again, and discard what was read before.",
  });
}

function tooLarge(path: string, size: number): never {
  return fail(KIND.BUDGET, {
    where: quotePath(path),
    expected: `at most ${MAX_WHOLE_FILE} bytes`,
    actual: size,
    advice: "This is too large for an adapter. Check that it is not the base model.",
  });
}
