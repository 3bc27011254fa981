/**
 * Reads files by path (Node only): as a source of ranges, in order, or whole. Nothing here writes.
 *
 * A path that the user typed may be a pipe or a device (`/dev/stdin`), whose size is unknown before it is read. Every other
 * path, such as the files of a directory and the configuration next to the weights, must be a regular file or a link to one
 * (the cache of the Hugging Face hub consists of links). The kind is checked before the file is opened: opening a pipe blocks,
 * and opening a device may have side effects.
 *
 * @module
 */
import { constants, fstatSync, type Stats } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import * as KIND from "../../error-catalogue.ts";
import { assertNotAborted, fail, LqaError } from "../../errors.ts";
import { assertRange, type ByteSource } from "../../io/source.ts";
import { osError, quotePath, systemCode } from "./os-error.ts";

/** Bytes per read request to the system. Node refuses more than 2 GiB; 16 MiB lets an abort take effect soon. */
const STEP = 16 * 1024 * 1024;
/** Bytes per read request of a pipe or device. */
const PIPE_STEP = 1024 * 1024;

/** The largest file that {@link readWholeFile} reads: stops a file that was named by mistake from filling memory. */
export const MAX_WHOLE_FILE: number = 4 * 1024 ** 3;

/** The largest configuration. Real ones have less than 100 KB; a parsed one takes many times its size. */
export const MAX_SIDE_FILE: number = 4 * 1024 ** 2;

/** Opening never waits, even if a pipe has replaced the file since it was checked. Windows has no such pipes. */
export const OPEN_REGULAR: number = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** Status of the target of a path; undefined if there is nothing. @throws LqaError IO */
async function statusOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return undefined;
    throw osError(error, path, "read");
  }
}

/** Whether a path leads to a regular file. */
export async function isRegularFile(path: string): Promise<boolean> {
  return (await statusOf(path).catch(() => undefined))?.isFile() ?? false;
}

/** Whether a path leads to a named pipe. */
export async function isPipe(path: string): Promise<boolean> {
  return (await statusOf(path).catch(() => undefined))?.isFIFO() ?? false;
}

/** Whether a path leads to a directory. @throws LqaError NOT_FOUND, IO */
export async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw osError(error, path, "read");
  }
}

/** Names in a directory, in no order. @throws LqaError NOT_FOUND, IO */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw osError(error, folder, "read");
  }
}

/**
 * A source over a file that stays open, so renaming or replacing the file has no effect. If its size or modification time
 * changes, reads fail.
 */
export interface FileSource extends ByteSource {
  readonly size: number;
  readonly stable: true;
  /**
   * Reads all bytes.
   *
   * @throws LqaError as `read`; BUDGET above `MAX_WHOLE_FILE` bytes, or if there is not enough memory
   */
  whole(signal?: AbortSignal): Promise<Uint8Array>;
  /** Closes the file. The source cannot be used afterwards. */
  close(): Promise<void>;
}

/**
 * Opens a regular file as a byte source. The caller closes it.
 *
 * @throws LqaError NOT_FOUND, or IO with the system's reason (a directory, pipe or device, no permission, …). Reads throw IO
 *   after someone wrote to the file.
 */
export async function openFileSource(path: string): Promise<FileSource> {
  return sourceOf(path, await openedRegular(path));
}

function sourceOf(path: string, opened: Opened & { readonly size: number }): FileSource {
  const { handle, size } = opened;
  const fill = async (target: Uint8Array, offset: number, signal?: AbortSignal): Promise<number> => {
    assertRange(offset, target.length);
    const filled = await readInto(handle, path, target, offset, signal);
    assertUnchanged(path, opened);
    return filled;
  };
  return {
    size,
    stable: true,
    fresh: true,
    async read(offset, length, signal) {
      assertRange(offset, length);
      const target = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      const filled = await fill(target, offset, signal);
      return filled === target.length ? target : target.subarray(0, filled);
    },
    readInto: fill,
    async whole(signal) {
      if (size > MAX_WHOLE_FILE) throw tooLarge(path, size, MAX_WHOLE_FILE);
      const bytes = allocate(path, size);
      await fill(bytes, 0, signal);
      return bytes;
    },
    close: () => handle.close(),
  };
}

/** A pipe or a device, whose bytes come once, in pieces of memory that is used again. */
export interface FilePieces extends AsyncIterable<Uint8Array> {
  close(): Promise<void>;
}

/**
 * Opens a file, a pipe or a device, to be read once from its first byte to its last. The caller closes it.
 *
 * @returns a source for a regular file
 * @throws LqaError NOT_FOUND, or IO with the system's reason; reads throw IO too
 */
export async function openFileInput(
  path: string,
  {
    regular = false,
  }: {
    /** Refuses pipes and devices: for paths that a program found rather than the user typed. */
    readonly regular?: boolean | undefined;
  } = {},
): Promise<FileSource | FilePieces> {
  if (regular) return await openFileSource(path);
  const { handle, size, mtimeMs } = await openedAny(path);
  // Files that the system generates when they are read, such as those in /proc, report a size of 0.
  if (size !== undefined && size > 0) return sourceOf(path, { handle, size, mtimeMs });
  return { [Symbol.asyncIterator]: () => piecesOfHandle(handle, path), close: () => handle.close() };
}

async function* piecesOfHandle(handle: FileHandle, path: string): AsyncGenerator<Uint8Array> {
  const target = new Uint8Array(PIPE_STEP);
  for (;;) {
    let filled: number;
    try {
      filled = (await handle.read(target, 0, target.length, null)).bytesRead;
    } catch (error) {
      throw osError(error, path, "read");
    }
    if (filled === 0) return;
    yield target.subarray(0, filled);
  }
}

/**
 * Reads all bytes of a file, a pipe or a device.
 *
 * @throws LqaError NOT_FOUND; IO with the system's reason; BUDGET above `MAX_WHOLE_FILE` bytes or if there is not enough
 * memory; ABORTED
 */
export async function readWholeFile(path: string, signal?: AbortSignal): Promise<Uint8Array> {
  return await readWhole(path, await openedAny(path), MAX_WHOLE_FILE, signal);
}

/**
 * Reads a regular file of at most `most` bytes: configurations, indices of shards, and weights in a directory.
 *
 * @throws LqaError NOT_FOUND; IO with the system's reason, also for pipes and devices, which are not opened; BUDGET above
 *   `most` bytes, before any is read; ABORTED
 */
export async function readRegularFile(
  path: string,
  most: number = MAX_SIDE_FILE,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return await readWhole(path, await openedRegular(path), most, signal);
}

interface Opened {
  readonly handle: FileHandle;
  /** Size of a regular file; undefined for a pipe or device. */
  readonly size: number | undefined;
  readonly mtimeMs: number;
}

async function openedAny(path: string): Promise<Opened> {
  return await opened(path, constants.O_RDONLY, (status) => {
    if (status.isDirectory()) throw notRegular(path, status);
  });
}

async function openedRegular(path: string): Promise<Opened & { readonly size: number }> {
  await assertRegular(path);
  return (await opened(path, OPEN_REGULAR, (status) => checkRegular(path, status))) as Opened & {
    readonly size: number;
  };
}

/** Checks what a path leads to without opening it. @throws LqaError NOT_FOUND; IO for anything but a regular file */
export async function assertRegular(path: string): Promise<void> {
  try {
    checkRegular(path, await stat(path));
  } catch (error) {
    throw osError(error, path, "read");
  }
}

function checkRegular(path: string, status: Stats): void {
  if (!status.isFile()) throw notRegular(path, status);
}

async function opened(path: string, flags: number, check: (status: Stats) => void): Promise<Opened> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, flags);
    const status = await handle.stat();
    check(status);
    return { handle, size: status.isFile() ? status.size : undefined, mtimeMs: status.mtimeMs };
  } catch (error) {
    await handle?.close();
    throw osError(error, path, "read");
  }
}

async function readWhole(
  path: string,
  { handle, size }: Opened,
  most: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  try {
    // Files that the system generates when they are read, such as those in /proc, report a size of 0.
    if (size === undefined || size === 0) return await readStream(handle, path, most, signal);
    if (size > most) throw tooLarge(path, size, most);
    const target = allocate(path, size);
    const filled = await readInto(handle, path, target, 0, signal);
    return filled === target.length ? target : target.slice(0, filled);
  } catch (error) {
    throw osError(error, path, "read");
  } finally {
    await handle.close();
  }
}

/** Fills `target` from `offset` on; returns the number of bytes. */
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

async function readStream(
  handle: FileHandle,
  path: string,
  most: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  for await (const piece of piecesOfHandle(handle, path)) {
    assertNotAborted(signal);
    pieces.push(piece.slice());
    total += piece.length;
    if (total > most) throw tooLarge(path, total, most);
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

/** The kind of a file, in words. */
export function fileKindOf(status: Stats): string {
  if (status.isDirectory()) return "a directory";
  if (status.isFIFO()) return "a named pipe";
  if (status.isSocket()) return "a socket";
  if (status.isSymbolicLink()) return "a symbolic link";
  return status.isFile() ? "a file" : "a device";
}

/** @throws LqaError IO if someone wrote to a file since it was opened */
function assertUnchanged(path: string, { handle, size, mtimeMs }: Opened): void {
  // Synchronous: 2 µs, where a turn through the thread pool takes 30.
  const now = fstatSync(handle.fd);
  if (now.size === size && now.mtimeMs === mtimeMs) return;
  fail(KIND.IO, {
    where: quotePath(path),
    expected: `the file of ${size} bytes that was opened`,
    actual: `${now.size} bytes, written to meanwhile`,
    advice: "Open it again, and discard what was read before.",
  });
}

function notRegular(path: string, status: Stats): LqaError {
  return new LqaError(KIND.IO, {
    where: quotePath(path),
    expected: "a regular file",
    actual: fileKindOf(status),
    advice: status.isDirectory()
      ? "This is a directory: give the path of a file."
      : "Replace it by a regular file: what is not one was not opened.",
  });
}

function tooLarge(path: string, size: number, most: number): never {
  return fail(KIND.BUDGET, {
    where: quotePath(path),
    expected: `at most ${most} bytes`,
    actual: size,
    advice:
      most === MAX_WHOLE_FILE
        ? "This is too large for an adapter. Check that it is not the base model."
        : "This is too large for a file of its name. Check what it holds.",
  });
}
