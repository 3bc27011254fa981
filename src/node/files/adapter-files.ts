/**
 * Collects the files that make up an adapter (Node only): a directory, or a file of weights together with the
 * `adapter_config.json` in the same directory.
 *
 * Returns whole files by name and does not look into them; `adapters/` reads them.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import { isLqaError } from "../../errors.ts";
import { shardsOf } from "../../model/shards.ts";
import { CONFIG_FILE, LQA_FILE, usualWeights, weightsAmong } from "./adapter-names.ts";
import {
  assertRegular,
  isDirectory,
  isRegularFile,
  MAX_SIDE_FILE,
  MAX_WHOLE_FILE,
  namesIn,
  readRegularFile,
  readWholeFile,
} from "./file.ts";
import { type LazyFile, openLazyFile } from "./lazy-file.ts";
import { quotePath } from "./os-error.ts";

/**
 * Reads the adapter at `path`: file name to contents.
 *
 * In a directory the weights are the file with a name of PEFT, MLX or diffusers or, without one, the only file of weights or
 * all shards of one. They and a configuration must be regular files or links to such; if `path` itself names the weights, it may
 * be a pipe or a device.
 *
 * @throws LqaError NOT_FOUND if there is nothing, or a directory without an adapter (the message says what it holds
 * instead); IO with the system's reason; BUDGET for files that are too large
 */
export async function readAdapterFiles(path: string, signal?: AbortSignal): Promise<Map<string, Uint8Array>> {
  const { folder, weights, named } = await findFiles(path);
  const config = await readConfig(folder, signal);
  const files = new Map<string, Uint8Array>();
  for (const name of weights) {
    files.set(
      name,
      named
        ? await readWholeFile(path, signal)
        : await readRegularFile(join(folder, name), MAX_WHOLE_FILE, signal),
    );
  }
  return config === undefined ? files : files.set(CONFIG_FILE, config);
}

/**
 * The path of the `.lqa` file that a path means: the file `adapter_model.lqa` of a directory that has one, else the path itself.
 * Reads nothing.
 */
export async function lqaPath(path: string): Promise<string> {
  const inside = join(path, LQA_FILE);
  return (await isRegularFile(inside)) ? inside : path;
}

/** Whether a path means an `.lqa` file rather than an adapter in another dialect, by names alone. */
export async function isLqaPath(path: string): Promise<boolean> {
  if (/\.lqa$/i.test(path)) return true;
  return (await lqaPath(path)) !== path && usualWeights(await namesIn(path)) === undefined;
}

/** The open files of an adapter, with the weights not in memory. */
export interface OpenAdapterFiles {
  readonly files: ReadonlyMap<string, Uint8Array | LazyFile>;
  close(): void;
}

/**
 * As {@link readAdapterFiles}, but reads weights in a regular file on demand.
 *
 * @param options `regular` refuses weights in a pipe or device: for paths that a program found rather than the user typed
 * @throws as {@link readAdapterFiles}
 */
export async function openAdapterFiles(
  path: string,
  { regular = false, signal }: { readonly regular?: boolean; readonly signal?: AbortSignal | undefined } = {},
): Promise<OpenAdapterFiles> {
  const { folder, weights, named } = await findFiles(path);
  const config = await readConfig(folder, signal);
  const files = new Map<string, Uint8Array | LazyFile>();
  const opened: LazyFile[] = [];
  const close = (): void => {
    for (const file of opened) file.close();
  };
  try {
    for (const name of weights) {
      const file = named ? path : join(folder, name);
      const lazy = openLazyFile(file);
      if (lazy !== undefined) opened.push(lazy);
      else if (regular || !named) await assertRegular(file);
      files.set(name, lazy ?? (await readWholeFile(file, signal)));
    }
  } catch (error) {
    close();
    throw error;
  }
  if (config !== undefined) files.set(CONFIG_FILE, config);
  return { files, close };
}

/** Names of the files of weights, and their directory. `named`: `path` is the only one. */
async function findFiles(path: string): Promise<{ folder: string; weights: string[]; named: boolean }> {
  if (!(await isDirectory(path))) return { folder: dirname(path), weights: [basename(path)], named: true };
  const names = await namesIn(path);
  return { folder: path, weights: shardsOf(weightsAmong(names, quotePath(path)), names), named: false };
}

/** Reads the configuration. It may be absent, because many dialects have none; a dialect that needs it reports that. */
async function readConfig(folder: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
  try {
    return await readRegularFile(join(folder, CONFIG_FILE), MAX_SIDE_FILE, signal);
  } catch (error) {
    if (isLqaError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}
