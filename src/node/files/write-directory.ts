/**
 * Writes a directory of files atomically: whole or not at all (Node only).
 *
 * The files go into a temporary directory next to the target and are flushed to disk; then the directory gets its name. With
 * `force` an older adapter directory is moved aside (to `NAME.replaced-…`), replaced, and removed last, so one of the two is
 * always whole. A process killed between the two renames leaves the older one under that name. `force` only removes
 * files of an adapter, one by one; it refuses a directory that holds other files or directories.
 *
 * @module
 */
import { type Dirent, readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { lstat, mkdir, readdir, realpath, rename } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { osError, systemCode } from "./os-error.ts";
import {
  makeTemporaryDirectory,
  plainName,
  removeTemporary,
  replacedPath,
  temporaryPath,
} from "./temporary.ts";
import { type OutputOptions, outputExists, syncDirectory } from "./write-file.ts";
import { writePieces } from "./write-pieces.ts";

/** File names in adapter directories. `force` may remove these, and those that are being written. */
const ADAPTER_FILES: ReadonlySet<string> = new Set([
  "adapter_config.json",
  "adapter_model.safetensors",
  "adapters.safetensors",
  "pytorch_lora_weights.safetensors",
  "adapter.safetensors",
  "lora.safetensors",
  "adapter.gguf",
  "adapter.onnx_adapter",
]);

/**
 * Writes files into a new directory, atomically. An existing empty directory counts as free.
 *
 * @param files contents by plain file name
 * @throws LqaError OUTPUT_EXISTS without `force`, or if the directory holds more than an adapter; IO with the
 * system's reason. RangeError for a name that is not a plain file name
 */
export async function writeDirectoryAtomic(
  path: string,
  files: ReadonlyMap<string, Uint8Array>,
  options: OutputOptions = {},
): Promise<void> {
  for (const name of files.keys()) plainName(name);
  const fill = async (folder: NewFolder): Promise<void> => {
    for (const [name, bytes] of files) await folder.write(name, [bytes]);
  };
  await fillDirectoryAtomic(path, fill, options, files);
}

/** A new directory that does not have its final name yet. */
export interface NewFolder {
  /**
   * Writes a new file into it.
   *
   * @param folder subdirectory, made if it is absent; empty for the directory itself
   * @returns number of bytes written
   * @throws RangeError for a name that is not a plain file name; the system's errors; what the pieces throw
   */
  write(
    name: string,
    pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    folder?: string,
  ): Promise<number>;
}

/**
 * As {@link writeDirectoryAtomic}, for files that are written piece by piece.
 *
 * @param fill writes the files
 * @param files names that may be replaced, in addition to those of an adapter
 * @throws LqaError as {@link writeDirectoryAtomic}; what `fill` throws. Then nothing is left behind.
 */
export async function fillDirectoryAtomic(
  path: string,
  fill: (folder: NewFolder) => Promise<void>,
  options: OutputOptions = {},
  files: Pick<ReadonlySet<string>, "has"> = new Set(),
): Promise<void> {
  try {
    const occupied = await assertReplaceable(path, options, files);
    // The path may be a link to an empty directory.
    const target = await realpath(path).catch(() => resolve(path));
    const temporary = temporaryPath(target);
    makeTemporaryDirectory(temporary);
    try {
      await fill(newFolder(temporary));
      await syncDirectory(temporary);
      const isOurs = (name: string): boolean => ADAPTER_FILES.has(name) || files.has(name);
      await (occupied ? swap(temporary, target, isOurs) : takeName(temporary, target, path));
    } finally {
      await removeTemporary(temporary);
    }
    await syncDirectory(dirname(target));
  } catch (error) {
    throw osError(error, path, "write");
  }
}

function newFolder(path: string): NewFolder {
  return {
    async write(name, pieces, folder = "") {
      const place = folder === "" ? path : join(path, plainName(folder));
      if (folder !== "")
        await mkdir(place).catch((error) => {
          if (systemCode(error) !== "EEXIST") throw error;
        });
      return await writePieces(join(place, plainName(name)), pieces);
    },
  };
}

/**
 * Fails early if `writeDirectoryAtomic` would refuse the path.
 *
 * @param files names that will be written, and may be replaced
 * @returns whether there is an adapter directory to replace
 * @throws LqaError OUTPUT_EXISTS or IO, as `writeDirectoryAtomic`
 */
export async function assertReplaceable(
  path: string,
  options: OutputOptions = {},
  files: Pick<ReadonlySet<string>, "has"> = new Set(),
): Promise<boolean> {
  let entries: Dirent[];
  try {
    entries = await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (systemCode(error) === "ENOTDIR" && (await exists(path))) {
      throw outputExists(path, "a file", "Remove the file, or choose another directory.");
    }
    if (systemCode(error) === "ENOENT" && !(await exists(path))) {
      try {
        await lstat(dirname(resolve(path)));
      } catch (missing) {
        throw osError(missing, path, "write");
      }
      return false;
    }
    throw osError(error, path, "write");
  }
  if (entries.length === 0) return false;
  if (options.force !== true) throw outputExists(path);
  const foreign = entries
    .filter((entry) => entry.isDirectory() || (!ADAPTER_FILES.has(entry.name) && !files.has(entry.name)))
    .map(({ name }) => name);
  if (foreign.length === 0) return true;
  throw outputExists(
    path,
    `a directory that also holds ${JSON.stringify(foreign[0])}${foreign.length > 1 ? " and more" : ""}`,
    "--force replaces only a directory with nothing but an adapter in it. Choose another directory.",
  );
}

/** Renames onto an absent or empty directory; the system refuses anything else. */
async function takeName(temporary: string, target: string, path: string): Promise<void> {
  try {
    await rename(temporary, target);
  } catch (error) {
    const taken = ["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(systemCode(error) ?? "");
    throw taken ? outputExists(path) : error;
  }
}

async function swap(temporary: string, target: string, isOurs: (name: string) => boolean): Promise<void> {
  const old = replacedPath(target);
  await rename(target, old);
  try {
    await rename(temporary, target);
  } catch (error) {
    await rename(old, target);
    throw error;
  }
  // The new directory now has its name. Only replaceable files of the old one are removed, synchronously, before any signal
  // is handled: files that another process added meanwhile stay, under the name NAME.replaced-….
  for (const { name } of readdirSync(old, { withFileTypes: true }).filter(
    (entry) => isOurs(entry.name) && !entry.isDirectory(),
  ))
    unlinkSync(join(old, name));
  try {
    rmdirSync(old);
  } catch (error) {
    if (!["ENOTEMPTY", "EEXIST"].includes(systemCode(error) ?? "")) throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch {
    return false;
  }
}
