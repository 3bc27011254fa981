/**
 * Reads the files of an adapter from any location (Node only): a path, the address of its weights, or a folder on the hub.
 *
 * @module
 */

import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import type { HttpOptions } from "../io/http.ts";
import { shardsOf } from "../model/shards.ts";
import { type OpenAdapterFiles, openAdapterFiles, readAdapterFiles } from "./files/adapter-files.ts";
import { CONFIG_FILE, weightsAmong } from "./files/adapter-names.ts";
import { MAX_SIDE_FILE, MAX_WHOLE_FILE } from "./files/file.ts";
import { type LazyFile, openLazyFile } from "./files/lazy-file.ts";
import { isRemote } from "./remote/location.ts";
import type { RemoteFolder } from "./remote/remote-file.ts";

/** How to reach files. */
export interface LocationOptions {
  /** Options of the requests to servers. */
  readonly remote?: HttpOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads the adapter at a location: file name to contents.
 *
 * @param location a directory or a file of weights; the `http(s)://` address of a file of weights, whose configuration is next to
 * it; `hf://owner/name[@revision][/path]` with the folder of an adapter or its file of weights
 * @throws LqaError NOT_FOUND if there is nothing, or a directory without an adapter (the message says what it holds
 * instead); IO with the system's reason; BUDGET for files that are too large; for servers as `openRemoteFile`
 */
export async function readSourceFiles(
  location: string,
  options: LocationOptions = {},
): Promise<Map<string, Uint8Array>> {
  if (!isRemote(location)) return await readAdapterFiles(location, options.signal);
  const { files, close } = await openRemoteFiles(location, options);
  try {
    return new Map([...files].map(([name, file]) => [name, file.subarray(0, file.length)]));
  } finally {
    close();
  }
}

/**
 * As {@link readSourceFiles}, but reads the weights in regular files of this machine, the hub's cache included, on demand.
 * Weights from a server are read into memory.
 *
 * @param options `regular` refuses weights in a pipe or device: for paths that a program found rather than the user typed
 */
export async function openSourceFiles(
  location: string,
  options: LocationOptions & { readonly regular?: boolean } = {},
): Promise<OpenAdapterFiles> {
  return isRemote(location)
    ? await openRemoteFiles(location, options)
    : await openAdapterFiles(location, options);
}

async function openRemoteFiles(
  location: string,
  { remote, signal }: LocationOptions,
): Promise<OpenAdapterFiles> {
  const { openRemote } = await import("./remote/remote-file.ts");
  const folder = await openRemote(location, { ...remote, signal, wholeBytes: MAX_WHOLE_FILE });
  const files = new Map<string, Uint8Array | LazyFile>();
  const opened: LazyFile[] = [];
  try {
    for (const name of weightsOf(folder, location)) {
      const file = await contentOf(folder, name, MAX_WHOLE_FILE, signal);
      if ("close" in file) opened.push(file);
      files.set(name, file);
    }
    if (folder.names?.includes(CONFIG_FILE) ?? true) {
      const config = await contentOf(folder, CONFIG_FILE, MAX_SIDE_FILE, signal).catch((error: unknown) => {
        // Object storage also denies access to files that do not exist.
        const absent = isLqaError(error, "NOT_FOUND") || isLqaError(error, "ACCESS_DENIED");
        if (folder.names === undefined && absent) return undefined;
        throw error;
      });
      if (config !== undefined) files.set(CONFIG_FILE, config.subarray(0, config.length));
      if (config !== undefined && "close" in config) config.close();
    }
  } catch (error) {
    for (const file of opened) file.close();
    throw error;
  }
  return {
    files,
    close() {
      for (const file of opened) file.close();
    },
  };
}

function weightsOf({ file, names, where }: RemoteFolder, location: string): readonly string[] {
  if (file !== undefined) return [file];
  if (names !== undefined) return shardsOf(weightsAmong(names, where), names);
  return fail(KIND.NOT_FOUND, {
    where,
    expected: "the address of a file of weights",
    actual: `${location.slice(0, 200)}, the address of a folder`,
    advice: "Web servers have no list of their files: give the address of the file.",
  });
}

/** Opens a file of the cache on demand, or reads it whole from the server. */
async function contentOf(
  folder: RemoteFolder,
  name: string,
  most: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | LazyFile> {
  const { readRemote } = await import("./remote/remote-file.ts");
  const file = await folder.open(name);
  try {
    const lazy = file.path === undefined ? undefined : openLazyFile(file.path);
    return lazy ?? (await readRemote(file, { most, signal }));
  } finally {
    await file.close();
  }
}
