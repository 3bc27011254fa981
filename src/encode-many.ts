/**
 * Many adapters into one directory of `.lqa` files (Node only).
 *
 * Each file is whole or absent, so an interrupted run goes on where it stopped: what is there already is kept. An adapter
 * that cannot be encoded is reported and does not stop the others.
 *
 * @module
 */
import { mkdir, readdir, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { type EncodedFile, type EncodeFileOptions, encodeFile } from "./encode-file.ts";
import * as KIND from "./error-catalogue.ts";
import { fail, isLqaError, type LqaError } from "./errors.ts";
import { WEIGHTS_ENDING } from "./io/adapter-names.ts";
import { expandPattern, isPattern, patternRoot } from "./io/glob.ts";
import { osError } from "./io/os-error.ts";
import { suitableWorkers, withWorkers } from "./workers/pool.ts";

/** What became of one adapter. */
export type EncodedItem = { readonly input: string; readonly output: string } & (
  | { readonly state: "encoded"; readonly result: EncodedFile }
  | { readonly state: "kept" }
  | { readonly state: "failed"; readonly error: LqaError }
);

/** How {@link encodeMany} encodes. */
export interface EncodeManyOptions
  extends Omit<EncodeFileOptions, "onProgress" | "executor" | "scaleIfMissing"> {
  /** Called after each adapter. */
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/**
 * Encodes adapters, in the order of their names.
 *
 * @param inputs adapters, directories to look for some in, or patterns with `*`, `?` and `**`
 * @param folder where to write; made if it is absent. An adapter found under a directory or pattern keeps its path below it
 * @throws LqaError NOT_FOUND if there is nothing to encode; IO. What is wrong with a single adapter is in its item.
 */
export async function encodeMany(
  inputs: readonly string[],
  folder: string,
  options: EncodeManyOptions = {},
): Promise<EncodedItem[]> {
  const found = new Map<string, string>();
  for (const input of inputs) for (const [path, name] of await findAdapters(input)) found.set(path, name);
  if (found.size === 0) {
    fail(KIND.NOT_FOUND, { where: inputs.slice(0, 4).join(", "), expected: "adapters", actual: "none" });
  }
  const { onProgress, workers, ...rest } = options;
  const items: EncodedItem[] = [];
  const taken = new Map<string, string>();
  // Enough for the largest of the usual adapters; one pool serves them all.
  await withWorkers(workers ?? suitableWorkers(1e6), async (executor) => {
    for (const [input, name] of found) {
      const output = join(folder, `${name}.lqa`);
      const place = { input, output };
      const other = taken.get(output);
      taken.set(output, input);
      items.push({ ...place, ...(await attempt(place, other, { ...rest, scaleIfMissing: true, executor })) });
      onProgress?.(items.length, found.size, input);
    }
  });
  return items;
}

type Outcome =
  | { state: "encoded"; result: EncodedFile }
  | { state: "kept" }
  | { state: "failed"; error: LqaError };

async function attempt(
  { input, output }: { input: string; output: string },
  other: string | undefined,
  options: EncodeFileOptions,
): Promise<Outcome> {
  let made: string | undefined;
  try {
    if (other !== undefined) {
      fail(KIND.OUTPUT_EXISTS, {
        where: output,
        actual: `the output of ${other}`,
        advice: "Rename one of the adapters.",
      });
    }
    if (options.force !== true && (await isFile(output))) return { state: "kept" };
    made = await mkdir(dirname(output), { recursive: true }).catch((error) => {
      throw osError(error, output, "write");
    });
    return { state: "encoded", result: await encodeFile(input, output, options) };
  } catch (error) {
    // Aborting is meant for all of them.
    if (!isLqaError(error) || isLqaError(error, "ABORTED")) throw error;
    // Nothing was written; neither should a directory made for it stay. The system keeps one that holds something.
    if (made !== undefined) await rmdir(dirname(output)).catch(() => undefined);
    return { state: "failed", error };
  }
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (status) => status.isFile(),
    () => false,
  );
}

/** Adapters by path, with the names of their outputs, in the order of their paths. */
async function findAdapters(input: string): Promise<[path: string, name: string][]> {
  if (await isPattern(input)) {
    const adapters = new Set<string>();
    const files: string[] = [];
    for (const path of await expandPattern(input, "all")) {
      if (!(await isFile(path))) for (const inside of await walk(path)) adapters.add(inside);
      else if (WEIGHTS_ENDING.test(path)) files.push(path);
    }
    // A file of weights is part of its directory where that is an adapter.
    for (const path of files) if (!adapters.has(dirname(path))) adapters.add(path);
    const sorted = [...adapters].sort();
    return sorted.map((path) => [path, nameOf(relative(patternRoot(input), path))]);
  }
  const inside = (await isFile(input)) ? [] : await walk(input);
  // A directory with an adapter, a file, or something whose error will be told.
  if (inside.length === 0 || inside.includes(input)) return [[input, nameOf(basename(input))]];
  return inside.map((path) => [path, nameOf(relative(input, path))]);
}

function nameOf(path: string): string {
  return path.replace(WEIGHTS_ENDING, "").replace(/^(\.\.?[/\\])+/, "") || "adapter";
}

/** Directories with a configuration, and files of weights in all others. Nothing if there is no such directory. */
async function walk(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
  const names = entries.map(({ name }) => name);
  const weights = names.filter((name) => WEIGHTS_ENDING.test(name)).sort();
  const found = names.includes("adapter_config.json") ? [root] : weights.map((name) => join(root, name));
  for (const entry of [...entries].sort((x, y) => (x.name < y.name ? -1 : 1))) {
    if (entry.isDirectory() && !entry.name.startsWith("."))
      found.push(...(await walk(join(root, entry.name))));
  }
  return found;
}
