/**
 * The folder of a base model, on this machine or on a server (Node only): names, files by ranges, small files whole.
 *
 * From a server, only the requested ranges of a file are fetched. All files of one location belong to one commit or artifact, and
 * share one deadline.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { ByteSource } from "../io/source.ts";
import type { LocationOptions } from "./adapter-source.ts";
import {
  isDirectory,
  isRegularFile,
  MAX_SIDE_FILE,
  namesIn,
  openFileSource,
  readRegularFile,
} from "./files/file.ts";
import { quotePath } from "./files/os-error.ts";
import { isRemote } from "./remote/location.ts";
import type { RemoteFolder } from "./remote/remote-file.ts";

/** A file of a model. */
export interface ModelFile extends ByteSource {
  close(): Promise<void>;
}

/** A folder with a model, or with the components of one. */
export interface ModelFolder {
  /** Its name in errors. */
  readonly where: string;
  /** The file that the location names; undefined if it names the folder. */
  readonly file: string | undefined;
  /** Names of files and folders. @throws LqaError NOT_FOUND for a web server, which cannot list them; IO */
  names(): Promise<readonly string[]>;
  /** Whether a file exists; false if the server cannot list files. */
  has(name: string): Promise<boolean>;
  /** Opens a file for reads by ranges. The caller closes it. @throws LqaError NOT_FOUND, IO */
  open(name: string): Promise<ModelFile>;
  /** Reads a whole file. @throws LqaError NOT_FOUND, IO; BUDGET above `most` bytes */
  read(name: string, most?: number): Promise<Uint8Array>;
  /** Opens a folder in it. @throws LqaError NOT_FOUND, IO */
  folder(name: string): Promise<ModelFolder>;
}

/**
 * Opens the folder of a model.
 *
 * @param location a path, the address of a file, or `hf://owner/name[@revision][/path]`
 * @throws LqaError NOT_FOUND, IO; for servers as `openRemoteFile`
 */
export async function openModelFolder(
  location: string,
  { remote, signal }: LocationOptions = {},
): Promise<ModelFolder> {
  if (!isRemote(location))
    return (await isDirectory(location))
      ? localFolder(location, undefined, signal)
      : localFolder(dirname(location), basename(location), signal);
  const { openRemote } = await import("./remote/remote-file.ts");
  return remoteFolder(await openRemote(location, { ...remote, signal }), signal);
}

function localFolder(path: string, file: string | undefined, signal: AbortSignal | undefined): ModelFolder {
  return {
    where: quotePath(path),
    file,
    names: () => namesIn(path),
    has: (name) => isRegularFile(join(path, name)),
    open: (name) => openFileSource(join(path, name)),
    read: (name, most = MAX_SIDE_FILE) => readRegularFile(join(path, name), most, signal),
    folder: (name) => openModelFolder(join(path, name), { signal }),
  };
}

function remoteFolder(folder: RemoteFolder, signal: AbortSignal | undefined): ModelFolder {
  const { where, file, names } = folder;
  return {
    where,
    file,
    async names() {
      if (names !== undefined) return [...names, ...folder.folders];
      return fail(KIND.NOT_FOUND, {
        where,
        expected: "the address of a file",
        actual: "the address of a folder",
        advice: "Web servers have no list of their files: give the address of the file.",
      });
    },
    has: async (name) => names?.includes(name) ?? false,
    open: (name) => folder.open(name),
    async read(name, most = MAX_SIDE_FILE) {
      const { readRemote } = await import("./remote/remote-file.ts");
      const source = await folder.open(name);
      try {
        return await readRemote(source, { most, signal });
      } finally {
        await source.close();
      }
    },
    folder: async (name) => remoteFolder(folder.folder(name), signal),
  };
}
