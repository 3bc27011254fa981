/**
 * A directory for files that this process passes to other processes of the same user: each file is whole or absent.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { osError } from "./os-error.ts";

/** A directory that belongs to this process. */
export interface PrivateDirectory {
  /** Path of a file that does not exist yet. */
  newPath(): string;
  /** Writes a file at a path from {@link PrivateDirectory.newPath}. @throws LqaError IO; then there is no file */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Removes a file. A process that has it open or mapped can still read it. */
  remove(path: string): Promise<void>;
  /** Removes the directory. */
  close(): void;
}

/** Makes a directory `lqa-PID-…` that only this user can read. @throws LqaError IO */
export function privateDirectory(parent: string): PrivateDirectory {
  const directory = join(parent, `lqa-${process.pid}-${randomUUID().slice(0, 8)}`);
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    throw osError(error, parent, "write");
  }
  return {
    newPath: () => join(directory, randomUUID()),
    async write(path, bytes) {
      const temporary = `${path}.part`;
      try {
        await writeFile(temporary, bytes, { mode: 0o600 });
        await rename(temporary, path);
      } catch (error) {
        await rm(temporary, { force: true });
        throw osError(error, path, "write");
      }
    },
    remove: (path) => rm(path, { force: true }),
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}
