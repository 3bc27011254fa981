/**
 * Finds the adapters that `encodeMany` encodes: at locations, in directories and patterns, and below locations of object
 * storage.
 *
 * @module
 */
import { basename, dirname, join, relative } from "node:path";
import { type LocationOptions, openSourceFiles } from "./adapter-source.ts";
import type { OpenAdapterFiles } from "./files/adapter-files.ts";
import { CONFIG_FILE, isEncoded, WEIGHTS_ENDING } from "./files/adapter-names.ts";
import { isDirectory } from "./files/file.ts";
import { entriesOf, expandPattern, isPattern, patternRoot } from "./files/glob.ts";
import { isStored } from "./objects/location.ts";
import type { Stores } from "./objects/open-store.ts";
import { isRemote, nameOfLocation } from "./remote/location.ts";

/** One adapter of many. */
export interface ManySource {
  /** Name of its output, without the ending. */
  readonly name: string;
  /** Runs with a function that opens its files, and removes what was fetched for them afterwards. */
  read<T>(run: (open: () => Promise<OpenAdapterFiles>) => Promise<T>): Promise<T>;
}

/** Adapters by location. */
export type ManySources = ReadonlyMap<string, ManySource>;

/**
 * Finds the adapters of all inputs, each once.
 *
 * @param stores object storage, for inputs there
 * @throws LqaError NOT_FOUND for a pattern without a match; what object storage throws
 */
export async function findSources(
  inputs: readonly string[],
  stores: Stores | undefined,
  options: LocationOptions,
): Promise<ManySources> {
  const found = new Map<string, ManySource>();
  for (const input of inputs)
    if (stores !== undefined && isStored(input)) {
      const { storedAdapters } = await import("./objects/stored-adapters.ts");
      const root = input.replace(/\/+$/, "");
      for (const adapter of await storedAdapters(await stores.open(input), options.signal))
        found.set(adapter.name === "" ? root : `${root}/${adapter.name}`, {
          ...adapter,
          name: adapter.name === "" ? nameOf(basename(root)) : adapter.name,
        });
    }
    // Programs found most of these paths, not the user: none may be a pipe or a device.
    else
      for (const [path, name] of await findPaths(input))
        found.set(path, {
          name,
          read: (run) => run(() => openSourceFiles(path, { ...options, regular: true })),
        });
  return found;
}

/** Adapters by path, with the names of their outputs, in the order of the paths. */
async function findPaths(input: string): Promise<[path: string, name: string][]> {
  if (isRemote(input)) return [[input, nameOf(nameOfLocation(input))]];
  if (await isPattern(input)) {
    const adapters = new Set<string>();
    const files: string[] = [];
    for (const path of await expandPattern(input, "all")) {
      if (await isFolder(path)) for await (const inside of walk(path)) adapters.add(inside);
      else if (WEIGHTS_ENDING.test(path)) files.push(path);
    }
    // If a file of weights is in an adapter's directory, it belongs to that adapter.
    for (const path of files) if (!adapters.has(dirname(path))) adapters.add(path);
    const sorted = [...adapters].sort();
    return sorted.map((path) => [path, nameOf(relative(patternRoot(input), path))]);
  }
  const inside: string[] = [];
  if (await isFolder(input)) for await (const path of walk(input)) inside.push(path);
  // A directory with an adapter, a file, or something that encoding will report as an error.
  if (inside.length === 0 || inside.includes(input)) return [[input, nameOf(basename(input))]];
  return inside.map((path) => [path, nameOf(relative(input, path))]);
}

/** Also false for a path that cannot be read: encoding it as a file then reports the error. */
async function isFolder(path: string): Promise<boolean> {
  return await isDirectory(path).catch(() => false);
}

function nameOf(path: string): string {
  return path.replace(WEIGHTS_ENDING, "").replace(/^(\.\.?[/\\])+/, "") || "adapter";
}

/**
 * Directories with a configuration, and files of weights in all others. Leaves out adapters that are encoded already. Does not
 * follow links to directories.
 */
async function* walk(root: string): AsyncGenerator<string> {
  const entries = (await entriesOf(root)).sort((x, y) => (x.name < y.name ? -1 : 1));
  const names = entries.map(({ name }) => name);
  const isAdapter = names.includes(CONFIG_FILE);
  if (isAdapter) {
    if (!isEncoded(names)) yield root;
  } else
    for (const entry of entries)
      if (WEIGHTS_ENDING.test(entry.name) && !entry.isDirectory()) yield join(root, entry.name);
  for (const entry of entries)
    if (entry.isDirectory() && !entry.name.startsWith(".")) yield* walk(join(root, entry.name));
}
