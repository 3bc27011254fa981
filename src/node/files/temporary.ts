/**
 * Temporary files and directories that never outlive the process (Node only).
 *
 * A writer registers its temporary path, and forgets it when the file has its final name. While a path is registered,
 * SIGINT, SIGTERM, SIGHUP and process exit remove it first; a signal then has its usual effect, unless the program listens for
 * it itself. Without registered paths there are no listeners, so importing the library does not change the process.
 * SIGKILL and power loss can leave a temporary path behind. Its name says so, but no later process removes it, because a
 * name does not prove which process made a file.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { osError } from "./os-error.ts";
import { writePieces } from "./write-pieces.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const registered = new Set<string>();
/** Number of active {@link leaveSignals}: these programs end after a signal when everything that they write has its name. */
let leaving = 0;

/** A name in the same directory (so that renaming stays on one disk) that no other process chooses. */
export function temporaryPath(path: string): string {
  return join(dirname(path), `.${recognizable(path)}.${randomBytes(6).toString("hex")}.tmp`);
}

/**
 * A name for a path that is being replaced. It is not hidden and says what it is: between two renames it is the only copy, and
 * a user who searches for it after a power loss must find it.
 */
export function replacedPath(path: string): string {
  return join(dirname(path), `${recognizable(path)}.replaced-${randomBytes(6).toString("hex")}`);
}

/** Usual file systems allow names of 255 bytes: this keeps 48 characters (at most 192 bytes) of the original. */
function recognizable(path: string): string {
  return [...basename(path)].slice(0, 48).join("");
}

/** Registers `path`, so that it is removed if the process ends. */
export function registerTemporary(path: string): void {
  if (registered.size === 0) {
    for (const signal of SIGNALS) process.on(signal, onSignal);
    process.on("exit", removeAll);
  }
  registered.add(path);
}

/** Forgets `path`: it is gone, or is now a file to keep. */
export function forgetTemporary(path: string): void {
  registered.delete(path);
  if (registered.size > 0) return;
  for (const signal of SIGNALS) process.off(signal, onSignal);
  process.off("exit", removeAll);
}

/** A directory private to this process, with an unguessable name. */
export interface TemporaryDirectory {
  readonly path: string;
  /** Path of a file in it. @throws RangeError for a name that is not a plain file name */
  file(name: string): string;
  /** Writes a new file into it. @throws LqaError IO, also if the name exists; what the pieces throw */
  write(name: string, pieces: AsyncIterable<Uint8Array>): Promise<void>;
}

/**
 * Runs a function with a directory in that of the system for temporary files, and removes the directory afterwards.
 *
 * @param prefix beginning of its name
 * @throws LqaError IO if it cannot be made; what `run` throws
 */
export async function withTemporaryDirectory<T>(
  prefix: string,
  run: (directory: TemporaryDirectory) => Promise<T>,
): Promise<T> {
  const path = made(() => mkdtempSync(join(tmpdir(), prefix)), tmpdir());
  const file = (name: string): string => join(path, plainName(name));
  try {
    return await run({
      path,
      file,
      async write(name, pieces) {
        try {
          await writePieces(file(name), pieces);
        } catch (error) {
          throw osError(error, file(name), "write");
        }
      },
    });
  } finally {
    await removeTemporary(path);
  }
}

/** Makes and registers a directory at a temporary path. @throws LqaError IO, also if the path exists */
export function makeTemporaryDirectory(path: string): void {
  made(() => {
    mkdirSync(path);
    return path;
  }, path);
}

/** Removes a registered path, which this process made. */
export async function removeTemporary(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  forgetTemporary(path);
}

/** Makes and registers a path in one step that no signal can interrupt, so that only paths made here are ever removed. */
function made(make: () => string, where: string): string {
  try {
    const path = make();
    registerTemporary(path);
    return path;
  } catch (error) {
    throw osError(error, where, "write");
  }
}

/** @throws RangeError for a name that leads elsewhere */
export function plainName(name: string): string {
  const bad = name === "" || name === "." || name === ".." || /[/\\]/.test(name) || name.includes("\u0000");
  if (bad) throw new RangeError(`expected a plain file name, found ${JSON.stringify(name)}`);
  return name;
}

/**
 * Stops signals from removing anything: the program listens for them, finishes its writes and ends. Process exit still removes
 * what is registered.
 *
 * @returns restores the removal on signals
 */
export function leaveSignals(): () => void {
  leaving++;
  return () => {
    leaving--;
  };
}

function removeAll(): void {
  for (const path of registered) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // This path cannot be removed; continue with the others.
    }
  }
}

function onSignal(signal: NodeJS.Signals): void {
  if (leaving > 0) return;
  removeAll();
  process.off(signal, onSignal);
  // If the program has its own listener, it decides what happens; writers that are still running fail with ENOENT.
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}
