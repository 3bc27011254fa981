/**
 * Collects the files that make up an adapter (Node only): a directory, or a file of weights together with the
 * `adapter_config.json` beside it.
 *
 * Only whole files by name come out; what they say is for `dialects/` to find out.
 *
 * @module
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isLqaError } from "../errors.ts";
import { CONFIG_FILE, weightsAmong } from "./adapter-names.ts";
import { readWholeFile } from "./file.ts";
import { type LazyFile, openLazyFile } from "./lazy-file.ts";
import { osError, quotePath } from "./os-error.ts";

/**
 * The adapter at `path`: file name to contents.
 *
 * In a directory the weights are the file that PEFT, MLX or diffusers call so or, failing that, the only one.
 *
 * @throws LqaError NOT_FOUND where there is nothing, or a directory without an adapter (the message says what it holds
 * instead); IO with the system's reason; BUDGET for files that are too large.
 */
export async function readSourceFiles(path: string, signal?: AbortSignal): Promise<Map<string, Uint8Array>> {
  const { folder, weights, file } = await findFiles(path);
  const files = new Map([[weights, await readWholeFile(file, signal)]]);
  const config = await readConfig(folder, signal);
  return config === undefined ? files : files.set(CONFIG_FILE, config);
}

/** The files of an adapter, the weights not in memory. */
export interface OpenSourceFiles {
  readonly files: ReadonlyMap<string, Uint8Array | LazyFile>;
  close(): void;
}

/** As {@link readSourceFiles}, but weights in a regular file are read when they are asked for. @throws as there */
export async function openSourceFiles(path: string, signal?: AbortSignal): Promise<OpenSourceFiles> {
  const { folder, weights, file } = await findFiles(path);
  const config = await readConfig(folder, signal);
  const lazy = openLazyFile(file);
  const files = new Map<string, Uint8Array | LazyFile>([
    [weights, lazy ?? (await readWholeFile(file, signal))],
  ]);
  if (config !== undefined) files.set(CONFIG_FILE, config);
  return { files, close: () => lazy?.close() };
}

async function findFiles(path: string): Promise<{ folder: string; weights: string; file: string }> {
  if (!(await isDirectory(path))) return { folder: dirname(path), weights: basename(path), file: path };
  const weights = await findWeights(path);
  return { folder: path, weights, file: join(path, weights) };
}

/** A configuration may be absent (many dialects have none); the dialect that needs it says so. */
async function readConfig(folder: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
  try {
    return await readWholeFile(join(folder, CONFIG_FILE), signal);
  } catch (error) {
    if (isLqaError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw osError(error, path, "read");
  }
}

async function findWeights(folder: string): Promise<string> {
  try {
    return weightsAmong(await readdir(folder), quotePath(folder));
  } catch (error) {
    throw osError(error, folder, "read");
  }
}
