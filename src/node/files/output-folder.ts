/**
 * An output directory for many files, by names below it (Node only). Its existing contents are not trusted.
 *
 * Writes follow no link below the directory: neither a directory on the way nor the file itself may be one. A file is replaced
 * only with `force` and only if it is a regular one. Each file is whole or absent, as in `write-file.ts`. The checks are
 * not atomic; a process that replaces directories by links between check and write already has the rights to write the files
 * itself.
 *
 * @module
 */
import type { Stats } from "node:fs";
import { lstat, mkdir, rmdir } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Input } from "../../io/input.ts";
import { fileKindOf, isRegularFile, openFileSource } from "./file.ts";
import { osError, quotePath, systemCode } from "./os-error.ts";
import { fillThenName, type OutputOptions, outputExists } from "./write-file.ts";
import { writePieces } from "./write-pieces.ts";

/** A file that an earlier run wrote. */
export interface OpenOutput {
  readonly input: Input;
  close(): Promise<void>;
}

/** An output directory. */
export interface OutputFolder {
  /** Path of a file, for messages. */
  pathOf(name: string): string;
  /** Opens the file with this name; undefined if there is none that is regular. */
  open(name: string): Promise<OpenOutput | undefined>;
  /** Fails early if {@link OutputFolder.write} would fail. @throws LqaError OUTPUT_EXISTS, IO */
  check(name: string, options: OutputOptions): Promise<void>;
  /**
   * Writes a file, and makes the directories on the way to it.
   *
   * @throws LqaError OUTPUT_EXISTS for an existing file that may not be replaced, or a link or file in place of a directory;
   * IO with the system's reason. Then it removes everything that it made.
   */
  write(name: string, bytes: Uint8Array, options: OutputOptions): Promise<void>;
}

/** Opens a directory, or a link to one, for writing. The first write makes an absent one. */
export function openOutputFolder(folder: string): OutputFolder {
  const root = resolve(folder);
  /** Directories below the root on the way to a name, outermost first. */
  const wayTo = (name: string): string[] => {
    const parts = name.split(sep === "/" ? sep : /[/\\]/);
    if (parts.some((part) => part === "" || part === "." || part === ".." || part.includes("\0")))
      fail(KIND.USAGE, {
        where: quotePath(name),
        expected: "a path below the output directory",
        actual: "another",
      });
    return parts.slice(0, -1).map((_part, i) => join(root, ...parts.slice(0, i + 1)));
  };
  const check = async (name: string, { force }: OutputOptions): Promise<void> => {
    for (const path of wayTo(name)) {
      const status = await statusOf(path);
      if (status === undefined) return;
      if (!status.isDirectory()) throw inTheWay(path, fileKindOf(status));
    }
    const path = join(root, name);
    const status = await statusOf(path);
    if (status === undefined) return;
    if (!status.isFile()) throw inTheWay(path, fileKindOf(status));
    if (force !== true) throw outputExists(path);
  };
  return {
    pathOf: (name) => join(folder, name),
    async open(name) {
      const path = join(root, name);
      if (!(await isRegularFile(path))) return undefined;
      const input = await openFileSource(path);
      return { input, close: () => input.close() };
    },
    check,
    async write(name, bytes, options) {
      const path = join(root, name);
      const made: string[] = [];
      try {
        await mkdir(root, { recursive: true });
        for (const place of wayTo(name)) if (await makeDirectory(place)) made.push(place);
        await check(name, options);
        await fillThenName(path, (to) => writePieces(to, [bytes]), options);
      } catch (error) {
        // The system refuses to remove a directory that is not empty.
        for (const place of made.reverse()) await rmdir(place).catch(() => undefined);
        throw osError(error, path, "write");
      }
    },
  };
}

/** @returns false if it exists */
async function makeDirectory(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
  const status = await lstat(path);
  if (!status.isDirectory()) throw inTheWay(path, fileKindOf(status));
  return false;
}

async function statusOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw osError(error, path, "write");
  }
}

function inTheWay(path: string, what: string): Error {
  return outputExists(path, what, `Remove it, or choose another directory than ${quotePath(dirname(path))}.`);
}
