/**
 * Temporary files and directories that never outlive the process (Node only).
 *
 * Code that writes registers its temporary path and forgets it once it has its final name. While anything is registered,
 * SIGINT, SIGTERM, SIGHUP and process exit remove it first; a signal then has its usual effect unless the program listens for
 * it itself. Nothing is installed while nothing is registered, so that importing the library changes no behaviour of the
 * process. SIGKILL and power loss can leave a temporary path behind; its name says so, and no later process removes it: a
 * name is no proof of who made a file.
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
/** Programs that end by themselves after a signal, once what they write has its name. */
let leaving = 0;

/** A name in the same directory (so that renaming stays on one disk) that no other process will choose. */
export function temporaryPath(path: string): string {
  return join(dirname(path), `.${recognizable(path)}.${randomBytes(6).toString("hex")}.tmp`);
}

/**
 * Such a name for what is being replaced. It is not hidden and says what it is: between two renames it is all there is, and
 * a person who looks for it after a power loss must find it.
 */
export function replacedPath(path: string): string {
  return join(dirname(path), `${recognizable(path)}.replaced-${randomBytes(6).toString("hex")}`);
}

/** A name holds 255 bytes on the usual file systems: 48 characters (192 bytes at most) of the original. */
function recognizable(path: string): string {
  return [...basename(path)].slice(0, 48).join("");
}

/** From now on `path` is removed if the process ends. */
export function registerTemporary(path: string): void {
  if (registered.size === 0) {
    for (const signal of SIGNALS) process.on(signal, onSignal);
    process.on("exit", removeAll);
  }
  registered.add(path);
}

/** `path` is gone, or has become something to keep. */
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
  /** Writes a new file into it. @throws LqaError IO, also if there is one of that name; what the pieces throw */
  write(name: string, pieces: AsyncIterable<Uint8Array>): Promise<void>;
}

/**
 * Runs something with a directory that is removed afterwards.
 *
 * @param prefix beginning of its name
 * @param parent where it is made. Default: the system's directory for temporary files
 * @throws LqaError IO if it cannot be made; whatever `run` throws
 */
export async function withTemporaryDirectory<T>(
  prefix: string,
  run: (directory: TemporaryDirectory) => Promise<T>,
  parent: string = tmpdir(),
): Promise<T> {
  const path = made(() => mkdtempSync(join(parent, prefix)), parent);
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

/** Makes a directory at a temporary path. @throws LqaError IO, also if there is something of that name */
export function makeTemporaryDirectory(path: string): void {
  made(() => {
    mkdirSync(path);
    return path;
  }, path);
}

/** Removes what was registered, and is this process's own. */
export async function removeTemporary(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  forgetTemporary(path);
}

/** Made and registered in one step, between which no signal comes: what was not made here is never removed. */
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
 * From now on signals remove nothing: the program listens for them, finishes what it writes and ends. What is registered when
 * it ends is still removed.
 *
 * @returns ends that
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
      // Nothing more can be done for this one; the others still deserve the attempt.
    }
  }
}

function onSignal(signal: NodeJS.Signals): void {
  if (leaving > 0) return;
  removeAll();
  process.off(signal, onSignal);
  // If the program has its own listener, the program decides; writers that are still running fail with ENOENT.
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}
