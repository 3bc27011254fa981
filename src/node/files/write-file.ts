/**
 * Writes a file atomically: it is whole or absent (Node only).
 *
 * The bytes go to a temporary file in the same directory and are flushed to disk; then the file gets its name: by `link`
 * without `force` (the system refuses if the name exists by then), by `rename` with `force`.
 * On any failure the temporary file is removed, and an older file with the name is unchanged.
 *
 * @module
 */
import { type FileHandle, link, lstat, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import * as KIND from "../../error-catalogue.ts";
import { fail, LqaError } from "../../errors.ts";
import { osError, quotePath, systemCode } from "./os-error.ts";
import { forgetTemporary, registerTemporary, temporaryPath } from "./temporary.ts";
import { writePieces } from "./write-pieces.ts";

/** How to treat an existing output. */
export interface OutputOptions {
  /** Replace an existing output. Default: refuse with OUTPUT_EXISTS. */
  readonly force?: boolean | undefined;
}

/**
 * Writes a file atomically. Follows a symbolic link; writes directly to a device or pipe.
 *
 * @throws LqaError OUTPUT_EXISTS without `force`, IO with the system's reason (the advice names a full disk)
 */
export async function writeFileAtomic(
  path: string,
  bytes: Uint8Array,
  options: OutputOptions = {},
): Promise<void> {
  await fillFileAtomic(path, (to, fresh) => writePieces(to, [bytes], fresh), options);
}

/**
 * As {@link writeFileAtomic}, for a file that is written piece by piece.
 *
 * @param fill writes to the path `to`: a new file if `fresh`, otherwise an existing device or pipe
 * @throws LqaError as {@link writeFileAtomic}; what `fill` throws. Then nothing is left behind.
 */
export async function fillFileAtomic(
  path: string,
  fill: (to: string, fresh: boolean) => Promise<unknown>,
  options: OutputOptions = {},
): Promise<void> {
  try {
    const existing = await statusOf(path);
    if (existing !== undefined && !existing.isFile() && !existing.isDirectory()) {
      await fill(path, false);
      return;
    }
    if (existing !== undefined && options.force !== true) throw outputExists(path);
    const target = existing === undefined ? path : await realpath(path);
    await fillThenName(target, fill, options);
  } catch (error) {
    throw osError(error, path, "write");
  }
}

/**
 * Fails early if {@link writeFileAtomic} or `writeDirectoryAtomic` would fail at the end, so that the user does not
 * wait for an encoder whose output cannot be written. It guarantees nothing; the writers make the final check.
 *
 * @throws LqaError OUTPUT_EXISTS, or IO if the parent directory does not exist
 */
export async function assertWritable(path: string, options: OutputOptions = {}): Promise<void> {
  try {
    const parent = await stat(dirname(path));
    if (!parent.isDirectory()) fail(KIND.IO, { where: quotePath(dirname(path)), actual: "not a directory" });
    const existing = await statusOf(path);
    if (existing?.isFile() && options.force !== true) throw outputExists(path);
  } catch (error) {
    throw osError(error, path, "write");
  }
}

/** Flushes a directory's entries, so that a rename in it survives a power loss. Some systems cannot do this. */
export async function syncDirectory(path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    await handle.sync();
  } catch {
    // Windows cannot open directories, and some network file systems cannot flush them; the data itself is on disk.
  } finally {
    await handle?.close();
  }
}

/** The error for an existing output. */
export function outputExists(path: string, actual?: string, advice?: string): LqaError {
  return new LqaError(KIND.OUTPUT_EXISTS, { where: quotePath(path), actual, advice });
}

/**
 * Writes a file under a temporary name in its directory, then renames it. With `force` it replaces what has the name, a link
 * included; it never writes through a link.
 *
 * @throws LqaError OUTPUT_EXISTS; the system's errors; what `fill` throws
 */
export async function fillThenName(
  target: string,
  fill: (to: string, fresh: boolean) => Promise<unknown>,
  { force }: OutputOptions,
): Promise<void> {
  const temporary = temporaryPath(target);
  registerTemporary(temporary);
  try {
    await fill(temporary, true);
    if (force === true) await rename(temporary, target);
    else await giveFreeName(temporary, target);
  } finally {
    await rm(temporary, { force: true });
    forgetTemporary(temporary);
  }
  await syncDirectory(dirname(target));
}

/** Names a file without ever replacing another one. */
async function giveFreeName(temporary: string, target: string): Promise<void> {
  try {
    await link(temporary, target);
    return;
  } catch (error) {
    const code = systemCode(error);
    if (code === "EEXIST") throw outputExists(target);
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV"].includes(code ?? "")) throw error;
  }
  // No hard links here (FAT, some network shares): claim the name with an empty file, then replace that file.
  try {
    await (await open(target, "wx")).close();
  } catch (error) {
    throw systemCode(error) === "EEXIST" ? outputExists(target) : error;
  }
  try {
    await rename(temporary, target);
  } catch (error) {
    await rm(target, { force: true });
    throw error;
  }
}

/** Status of the target of a path, or undefined if there is nothing. @throws LqaError OUTPUT_EXISTS for a dangling link */
async function statusOf(path: string): Promise<Awaited<ReturnType<typeof stat>> | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
  try {
    const itself = await lstat(path);
    // Another writer created it in between.
    if (!itself.isSymbolicLink()) return itself;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
  throw outputExists(path, "a symbolic link to nothing", "Remove the link, or write to another path.");
}
