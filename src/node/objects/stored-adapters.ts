/**
 * Adapters in object storage: listed with their versions, and fetched to disk one at a time, in bounded memory.
 *
 * @module
 */
import { basename } from "node:path";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type OpenAdapterFiles, openAdapterFiles } from "../files/adapter-files.ts";
import { CONFIG_FILE } from "../files/adapter-names.ts";
import { MAX_SIDE_FILE } from "../files/file.ts";
import { type TemporaryDirectory, withTemporaryDirectory } from "../files/temporary.ts";
import { type FoundAdapter, findAdapters } from "./find-adapters.ts";
import { isPlainKey } from "./location.ts";
import { type ObjectInfo, objectPlace, objectSource, type ReadableStore, STEP } from "./store.ts";

/** Most files of one adapter: shards, their index and the configuration. */
const MOST_FILES = 64;

/** An adapter in a store. */
export interface ListedAdapter {
  /** Path below the location of the store, without the ending of the file. */
  readonly name: string;
  /** Runs with a function that opens the files; removes what was fetched afterwards. */
  read<T>(run: (open: () => Promise<OpenAdapterFiles>) => Promise<T>): Promise<T>;
}

/** All adapters of a store. @throws LqaError what the store throws */
export async function storedAdapters(store: ReadableStore, signal?: AbortSignal): Promise<ListedAdapter[]> {
  return (await findAdapters(store, signal)).map((adapter) => ({
    name: adapter.name,
    read: (run) =>
      withTemporaryDirectory("lqa-", (folder) => run(() => fetched(adapter, store, folder, signal))),
  }));
}

async function fetched(
  { files }: FoundAdapter,
  store: ReadableStore,
  folder: TemporaryDirectory,
  signal: AbortSignal | undefined,
): Promise<OpenAdapterFiles> {
  if (files.length > MOST_FILES)
    fail(KIND.BUDGET, {
      where: objectPlace(store, files[0]!.key),
      expected: `at most ${MOST_FILES} files for one adapter`,
      actual: files.length,
    });
  for (const file of files) await fetchFile(file, store, folder, signal);
  const [first] = files;
  const single = files.length === 1 && first !== undefined && basename(first.key) !== CONFIG_FILE;
  return await openAdapterFiles(single ? folder.file(basename(first.key)) : folder.path, { signal });
}

/** Fetches an object into the directory, piece by piece: the version that was listed, and no more bytes than were listed. */
async function fetchFile(
  info: ObjectInfo,
  store: ReadableStore,
  folder: TemporaryDirectory,
  signal: AbortSignal | undefined,
): Promise<void> {
  const where = objectPlace(store, info.key);
  const name = basename(info.key);
  if (!isPlainKey(info.key))
    fail(KIND.USAGE, {
      where: JSON.stringify(where),
      expected: "a key whose parts are plain file names",
      actual: "another",
      advice: "Rename the object.",
    });
  if (name === CONFIG_FILE && info.size > MAX_SIDE_FILE)
    fail(KIND.BUDGET, {
      where,
      expected: `at most ${MAX_SIDE_FILE} bytes for a configuration`,
      actual: info.size,
    });
  const from = objectSource(store, info);
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for (let offset = 0; offset < info.size; offset += STEP) {
      const bytes = await from.read(offset, STEP, signal);
      if (bytes.length !== Math.min(STEP, info.size - offset))
        fail(KIND.NETWORK, { where, expected: `${info.size} bytes`, actual: offset + bytes.length });
      yield bytes;
    }
  };
  await folder.write(name, pieces());
}
