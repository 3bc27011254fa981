/**
 * Collects the files that make up an adapter (Node only): a directory, or a file of weights together with the
 * `adapter_config.json` in the same directory.
 *
 * Only whole files by name come out; what they say is for `dialects/` to find out.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import { isLqaError } from "../../errors.ts";
import { CONFIG_FILE, weightsAmong } from "./adapter-names.ts";
import {
  assertRegular,
  isDirectory,
  MAX_SIDE_FILE,
  MAX_WHOLE_FILE,
  namesIn,
  readRegularFile,
  readWholeFile,
} from "./file.ts";
import { type LazyFile, openLazyFile } from "./lazy-file.ts";
import { quotePath } from "./os-error.ts";

/**
 * The adapter at `path`: file name to contents.
 *
 * In a directory the weights are the file that PEFT, MLX or diffusers call so or, failing that, the only one. They and a
 * configuration must be regular files, or links to such; weights that `path` itself names may be a pipe or a device.
 *
 * @throws LqaError NOT_FOUND where there is nothing, or a directory without an adapter (the message says what it holds
 * instead); IO with the system's reason; BUDGET for files that are too large.
 */
export async function readSourceFiles(path: string, signal?: AbortSignal): Promise<Map<string, Uint8Array>> {
  const { folder, weights, file, named } = await findFiles(path);
  const config = await readConfig(folder, signal);
  const bytes = named
    ? await readWholeFile(file, signal)
    : await readRegularFile(file, MAX_WHOLE_FILE, signal);
  const files = new Map([[weights, bytes]]);
  return config === undefined ? files : files.set(CONFIG_FILE, config);
}

/** The files of an adapter, the weights not in memory. */
export interface OpenSourceFiles {
  readonly files: ReadonlyMap<string, Uint8Array | LazyFile>;
  close(): void;
}

/**
 * As {@link readSourceFiles}, but weights in a regular file are read on demand.
 *
 * @param options.regular no weights in a pipe or device: for paths that a program found rather than a person named
 * @throws as there
 */
export async function openSourceFiles(
  path: string,
  { regular = false, signal }: { readonly regular?: boolean; readonly signal?: AbortSignal | undefined } = {},
): Promise<OpenSourceFiles> {
  const { folder, weights, file, named } = await findFiles(path);
  const config = await readConfig(folder, signal);
  const lazy = openLazyFile(file);
  if (lazy === undefined && (regular || !named)) await assertRegular(file);
  const files = new Map<string, Uint8Array | LazyFile>([
    [weights, lazy ?? (await readWholeFile(file, signal))],
  ]);
  if (config !== undefined) files.set(CONFIG_FILE, config);
  return { files, close: () => lazy?.close() };
}

/** `named`: the path is that of the weights. */
async function findFiles(
  path: string,
): Promise<{ folder: string; weights: string; file: string; named: boolean }> {
  if (!(await isDirectory(path)))
    return { folder: dirname(path), weights: basename(path), file: path, named: true };
  const weights = weightsAmong(await namesIn(path), quotePath(path));
  return { folder: path, weights, file: join(path, weights), named: false };
}

/** A configuration may be absent (many dialects have none); the dialect that needs it says so. */
async function readConfig(folder: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
  try {
    return await readRegularFile(join(folder, CONFIG_FILE), MAX_SIDE_FILE, signal);
  } catch (error) {
    if (isLqaError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}
