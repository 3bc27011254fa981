/**
 * A directory of this machine as an object store.
 *
 * Objects get their name whole: they are written below `.lqa-fleet/tmp/`, reach the disk and are linked to their name, which
 * the system refuses if it is taken. What a killed process left there is removed by the next one that opens the store.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import { openFileSource } from "../io/file.ts";
import { osError, systemCode } from "../io/os-error.ts";
import { assertNotAborted } from "../io/source.ts";
import { writeFileAtomic } from "../io/write-file.ts";
import { isAlive, thisProcess } from "./process-id.ts";
import { compareKeys, type ObjectInfo, type ObjectStore, OWN_PREFIX, STEP } from "./store.ts";

/** @throws LqaError IO if there is a file of that name. A directory that is not there yet is made by the first put. */
export async function directoryObjects(location: string): Promise<ObjectStore> {
  const root = resolve(location);
  const found = await stat(root).catch((error) => {
    if (systemCode(error) === "ENOENT") return undefined;
    throw osError(error, location, "read");
  });
  if (found !== undefined && !found.isDirectory())
    fail(KIND.IO, { where: location, expected: "a directory, or an s3:// location", actual: "a file" });
  const scratch = join(root, OWN_PREFIX, "tmp");
  await removeLeftovers(scratch);
  const path = (key: string): string => join(root, plainKey(key));
  const infoOf = async (key: string): Promise<ObjectInfo | undefined> => {
    try {
      const status = await stat(path(key));
      const { size, mtimeMs, ino } = status;
      return status.isFile() ? { key, size, version: `${size}-${mtimeMs}-${ino}` } : undefined;
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return undefined;
      throw osError(error, path(key), "read");
    }
  };
  const store: ObjectStore = {
    location,
    path,
    async *list({ prefix = "", after, signal } = {}) {
      for await (const key of walk(root, "", prefix, after)) {
        assertNotAborted(signal);
        const info = await infoOf(key);
        if (info !== undefined) yield info;
      }
    },
    async head(key) {
      return await infoOf(key);
    },
    async read(key, { offset, length, version }, signal) {
      if (version !== undefined && (await infoOf(key))?.version !== version)
        fail(KIND.REMOTE_CHANGED, { where: path(key) });
      try {
        const source = await openFileSource(path(key));
        try {
          return await source.read(offset, length, signal);
        } finally {
          await source.close();
        }
      } catch (error) {
        if (isLqaError(error, "NOT_FOUND")) return undefined;
        throw error;
      }
    },
    async put(key, bytes, { replace, signal }) {
      assertNotAborted(signal);
      const target = path(key);
      try {
        await mkdir(dirname(target), { recursive: true });
        await mkdir(join(scratch, thisProcess()), { recursive: true });
        await writeFileAtomic(target, bytes, { force: replace, scratch: join(scratch, thisProcess()) });
        return "written";
      } catch (error) {
        if (isLqaError(error, "OUTPUT_EXISTS")) return "exists";
        throw osError(error, target, "write");
      }
    },
    async digest(key, signal) {
      const info = await infoOf(key);
      if (info === undefined) return undefined;
      const hash = createHash("sha256");
      const source = await openFileSource(path(key));
      try {
        for (let at = 0; at < source.size; at += STEP) hash.update(await source.read(at, STEP, signal));
      } finally {
        await source.close();
      }
      return hash.digest("hex");
    },
    async remove(key) {
      await rm(path(key), { force: true }).catch((error) => {
        throw osError(error, path(key), "write");
      });
    },
    async close() {
      await rm(join(scratch, thisProcess()), { recursive: true, force: true });
    },
  };
  return store;
}

/** @throws LqaError USAGE for a key that leads elsewhere, or that no file can have */
function plainKey(key: string): string {
  if (!isPlainKey(key))
    fail(KIND.USAGE, {
      where: JSON.stringify(key.slice(0, 200)),
      expected: "a key whose parts are plain names",
    });
  return key;
}

/** Whether all parts of a key are names that a file can have everywhere. */
export function isPlainKey(key: string): boolean {
  if (Buffer.byteLength(key) > 900) return false;
  return key.split("/").every((part) => {
    const plain = [...part].every((letter) => letter > "\u001f" && !"\\\u007f".includes(letter));
    return plain && part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= 240;
  });
}

/** Keys of the files below a directory, in order. Links to directories are not followed: they may lead in circles. */
async function* walk(
  root: string,
  folder: string,
  prefix: string,
  after: string | undefined,
): AsyncGenerator<string> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch((error) => {
    // A directory may go while it is looked through.
    if (systemCode(error) === "ENOENT") return [];
    throw osError(error, join(root, folder), "read");
  });
  const keys = entries.map((entry) => `${folder}${entry.name}${entry.isDirectory() ? "/" : ""}`);
  for (const key of keys.sort(compareKeys)) {
    if (!key.endsWith("/")) {
      if (key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0)) yield key;
    } else if (key.startsWith(prefix) || prefix.startsWith(key)) {
      // All keys below are behind the last one if the directory is, and before it if its last possible key is.
      if (after === undefined || after.startsWith(key) || compareKeys(key, after) > 0)
        yield* walk(root, key, prefix, after);
    }
  }
}

/** Removes what processes that have ended left behind. */
async function removeLeftovers(scratch: string): Promise<void> {
  const names = await readdir(scratch).catch(() => []);
  for (const name of names)
    if (!isAlive(name)) await rm(join(scratch, name), { recursive: true, force: true });
}
