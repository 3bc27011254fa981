/**
 * Encodes many adapters into one directory of `.lqa` files (Node only).
 *
 * Each file is whole or absent, so an interrupted run can be resumed: existing files are kept. A failed adapter is reported and
 * does not stop the others. Several processes may write into one directory, each its share. If another process finishes an
 * adapter first, this one keeps the other's file, which has the same bytes.
 *
 * @module
 */
import { basename, dirname, join, relative } from "node:path";
import type { QuantizeOptions } from "../encode/quantize/profile.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError, type LqaError } from "../errors.ts";
import { openSourceFiles } from "./adapter-source.ts";
import { type BaseDigests, baseDigests } from "./base-digest.ts";
import {
  type EncodedFile,
  type EncodeFileControls,
  type EncodeFileOptions,
  encodeFrom,
  parentOf,
} from "./encode-file.ts";
import { CONFIG_FILE, WEIGHTS_ENDING } from "./files/adapter-names.ts";
import { isDirectory } from "./files/file.ts";
import { entriesOf, expandPattern, isPattern, patternRoot } from "./files/glob.ts";
import { type OutputFolder, openOutputFolder } from "./files/output-folder.ts";
import { isRemote, nameOfLocation } from "./remote/location.ts";
import { inShard, type Shard } from "./shard.ts";
import { suitableWorkers, withWorkers } from "./workers/pool.ts";

/** The outcome for one adapter. */
export type EncodedItem = { readonly input: string; readonly output: string } & (
  | { readonly state: "encoded"; readonly result: EncodedFile }
  | { readonly state: "kept" }
  | { readonly state: "failed"; readonly error: LqaError }
);

/** Options of {@link encodeMany}. */
export type EncodeManyOptions = QuantizeOptions &
  Omit<EncodeFileControls, "onProgress" | "executor" | "scaleIfMissing"> & {
    /** Encodes one share of the adapters and leaves the others to other processes. Default: all. */
    readonly shard?: Shard | undefined;
    /** Called after each adapter. */
    readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
  };

/**
 * Encodes adapters, in the order of their names. Without `workers` it uses two threads per adapter, and at most one per core.
 *
 * @param inputs locations of adapters, directories to search, or patterns with `*`, `?` and `**`
 * @param folder directory for the files; made if it is absent. An adapter in a directory or pattern keeps its path below it
 * @throws LqaError NOT_FOUND if there is nothing to encode (an empty share is no error); IO. Errors of single adapters are in
 * their items.
 */
export async function encodeMany(
  inputs: readonly string[],
  folder: string,
  options: EncodeManyOptions = {},
): Promise<EncodedItem[]> {
  const { onProgress, workers, shard, ...rest } = options;
  const isChosen = inShard(shard);
  const found = new Map<string, string>();
  for (const input of inputs) for (const [path, name] of await findAdapters(input)) found.set(path, name);
  if (found.size === 0) {
    fail(KIND.NOT_FOUND, { where: inputs.slice(0, 4).join(", "), expected: "adapters", actual: "none" });
  }
  const chosen = [...found].filter(([, name]) => isChosen(name));
  const items: EncodedItem[] = [];
  const target = openOutputFolder(folder);
  const taken = new Map<string, string>();
  const parent = await parentOf(rest.parent, rest);
  const bases = rest.base === undefined ? undefined : baseDigests(rest.base, rest.remote);
  // One pool for all adapters, whose size is unknown: as if each had a million parameters.
  await withWorkers(workers ?? suitableWorkers(1e6 * chosen.length), async (executor) => {
    for (const [input, name] of chosen) {
      const file = `${name}.lqa`;
      const place = { input, output: target.pathOf(file) };
      const other = taken.get(file);
      taken.set(file, input);
      const how = { ...rest, scaleIfMissing: true, executor, parent };
      items.push({ ...place, ...(await attempt(place, { target, file, other, bases }, how)) });
      onProgress?.(items.length, chosen.length, input);
    }
  }).finally(() => bases?.close());
  return items;
}

type Outcome =
  | { state: "encoded"; result: EncodedFile }
  | { state: "kept" }
  | { state: "failed"; error: LqaError };

interface Place {
  readonly target: OutputFolder;
  readonly file: string;
  /** Another input whose output has the same name. */
  readonly other: string | undefined;
  readonly bases: BaseDigests | undefined;
}

async function attempt(
  { input, output }: { input: string; output: string },
  { target, file, other, bases }: Place,
  options: EncodeFileOptions,
): Promise<Outcome> {
  const keeps = async (): Promise<boolean> => options.force !== true && (await target.has(file));
  try {
    if (other !== undefined) {
      fail(KIND.OUTPUT_EXISTS, {
        where: output,
        actual: `the output of ${other}`,
        advice: "Rename one of the adapters.",
      });
    }
    if (await keeps()) return { state: "kept" };
    await target.check(file, options);
    const { signal } = options;
    const result = await encodeFrom(
      // Programs found most of these paths, not the user: none may be a pipe or a device.
      () => openSourceFiles(input, { regular: true, signal, remote: options.remote }),
      (bytes) => target.write(file, bytes, options),
      options,
      bases,
    );
    return { state: "encoded", result };
  } catch (error) {
    // An abort applies to all adapters.
    if (!isLqaError(error) || isLqaError(error, "ABORTED")) throw error;
    // Another process has encoded it in the meantime.
    if (other === undefined && isLqaError(error, "OUTPUT_EXISTS") && (await keeps()))
      return { state: "kept" };
    return { state: "failed", error };
  }
}

/** Adapters by path, with the names of their outputs, in the order of the paths. */
async function findAdapters(input: string): Promise<[path: string, name: string][]> {
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

/** Directories with a configuration, and files of weights in all others. Does not follow links to directories. */
async function* walk(root: string): AsyncGenerator<string> {
  const entries = (await entriesOf(root)).sort((x, y) => (x.name < y.name ? -1 : 1));
  const isAdapter = entries.some(({ name }) => name === CONFIG_FILE);
  if (isAdapter) yield root;
  else
    for (const entry of entries)
      if (WEIGHTS_ENDING.test(entry.name) && !entry.isDirectory()) yield join(root, entry.name);
  for (const entry of entries)
    if (entry.isDirectory() && !entry.name.startsWith(".")) yield* walk(join(root, entry.name));
}
