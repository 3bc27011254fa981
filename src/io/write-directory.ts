/**
 * Writing a directory of files so that it is there whole or not at all (Node only).
 *
 * The files go into a temporary directory beside the target and reach the disk; then the directory gets its name.
 * With `force` an older adapter directory is moved aside (to `NAME.replaced-…`), replaced, and removed last, so that at every
 * moment one of the two is whole; a process killed between the two renames leaves it under that name. `force` never removes anything but an adapter: a directory that holds other things is refused.
 *
 * @module
 */
import { lstat, mkdir, readdir, realpath, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { osError, systemCode } from "./os-error.ts";
import { forgetTemporary, registerTemporary, replacedPath, temporaryPath } from "./temporary.ts";
import { outputExists, syncDirectory, type WriteOptions, writeSynced } from "./write-file.ts";

/** Names that adapter directories have; `force` may remove these, and whatever is written anew. */
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
 * system's reason. RangeError for a name that is not a plain file name.
 */
export async function writeDirectoryAtomic(
  path: string,
  files: ReadonlyMap<string, Uint8Array>,
  options: WriteOptions = {},
): Promise<void> {
  for (const name of files.keys()) assertPlainName(name);
  const fill = async (folder: string): Promise<void> => {
    for (const [name, bytes] of files) await writeSynced(join(folder, name), bytes);
  };
  await fillDirectoryAtomic(path, fill, options, files);
}

/**
 * As {@link writeDirectoryAtomic}, for files that are written piece by piece.
 *
 * @param fill writes the files into the directory it is given, which has another name yet
 * @param files names that may be replaced
 * @throws LqaError as there; whatever `fill` throws. Nothing stays behind then.
 */
export async function fillDirectoryAtomic(
  path: string,
  fill: (folder: string) => Promise<void>,
  options: WriteOptions = {},
  files: Pick<ReadonlySet<string>, "has"> = new Set(),
): Promise<void> {
  try {
    const occupied = await assertReplaceable(path, options, files);
    // An empty directory may be a link to one.
    const target = await realpath(path).catch(() => resolve(path));
    const temporary = temporaryPath(target);
    registerTemporary(temporary);
    try {
      await mkdir(temporary);
      await fill(temporary);
      await syncDirectory(temporary);
      await (occupied ? swap(temporary, target) : takeName(temporary, target, path));
    } finally {
      await rm(temporary, { recursive: true, force: true });
      forgetTemporary(temporary);
    }
    await syncDirectory(dirname(target));
  } catch (error) {
    throw osError(error, path, "write");
  }
}

/**
 * Finds out early whether `writeDirectoryAtomic` would be refused.
 *
 * @param files names that will be written, and may be replaced
 * @returns whether there is an adapter directory to replace
 * @throws LqaError OUTPUT_EXISTS or IO, as `writeDirectoryAtomic` does
 */
export async function assertReplaceable(
  path: string,
  options: WriteOptions = {},
  files: Pick<ReadonlySet<string>, "has"> = new Set(),
): Promise<boolean> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    if (systemCode(error) === "ENOTDIR" && (await exists(path))) {
      throw outputExists(path, "a file", "Remove the file, or choose another directory.");
    }
    if (systemCode(error) === "ENOENT" && !(await exists(path))) {
      await lstat(dirname(resolve(path)));
      return false;
    }
    throw osError(error, path, "write");
  }
  if (names.length === 0) return false;
  if (options.force !== true) throw outputExists(path);
  const foreign = names.filter((name) => !ADAPTER_FILES.has(name) && !files.has(name));
  if (foreign.length === 0) return true;
  throw outputExists(
    path,
    `a directory that also holds ${JSON.stringify(foreign[0])}${foreign.length > 1 ? " and more" : ""}`,
    "--force replaces only a directory with nothing but an adapter in it. Choose another directory.",
  );
}

/** Renames onto nothing or onto an empty directory; the system refuses anything else. */
async function takeName(temporary: string, target: string, path: string): Promise<void> {
  try {
    await rename(temporary, target);
  } catch (error) {
    const taken = ["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(systemCode(error) ?? "");
    throw taken ? outputExists(path) : error;
  }
}

async function swap(temporary: string, target: string): Promise<void> {
  const old = replacedPath(target);
  await rename(target, old);
  try {
    await rename(temporary, target);
  } catch (error) {
    await rename(old, target);
    throw error;
  }
  // From here on the new directory has its name, and the old one is only waste.
  registerTemporary(old);
  try {
    await rm(old, { recursive: true, force: true });
  } finally {
    forgetTemporary(old);
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

function assertPlainName(name: string): void {
  const bad = name === "" || name === "." || name === ".." || /[/\\]/.test(name) || name.includes("\u0000");
  if (bad) throw new RangeError(`expected a plain file name, found ${JSON.stringify(name)}`);
}
