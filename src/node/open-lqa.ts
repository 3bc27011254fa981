/**
 * Opens an `.lqa` file at a location for one read from the first byte to the last (Node only): a path, also of a directory with
 * `adapter_model.lqa`, an address, or a file on the hub.
 *
 * @module
 */
import { type ByteReader, sourceReader } from "../core/validate/window.ts";
import type { LocationOptions } from "./adapter-source.ts";
import { lqaPath } from "./files/adapter-files.ts";
import { openFileReader, openFileSource } from "./files/file.ts";
import { isRemote } from "./remote/location.ts";

/** An open file that is read in order. */
export interface OpenLqa {
  /** The reader. At the end of the file it compares the bytes with the digest that the server lists. */
  readonly reader: ByteReader;
  /** Reads some bytes again; undefined for a pipe, which no longer has them. */
  again(begin: number, end: number): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

/**
 * Opens the file at a location. The caller closes it.
 *
 * @param options `regular` refuses pipes and devices: for paths that a program found rather than the user typed
 * @throws LqaError as `openFileReader` and `openRemoteFile`
 */
export async function openLqa(
  location: string,
  { regular, remote, signal }: LocationOptions & { readonly regular?: boolean | undefined } = {},
): Promise<OpenLqa> {
  if (!isRemote(location)) {
    const path = await lqaPath(location);
    const reader = await openFileReader(path, { regular });
    return {
      reader,
      again: async (begin, end) =>
        reader.size === undefined ? undefined : await readAgain(path, begin, end),
      close: () => reader.close(),
    };
  }
  const { checkedInOrder, openRemoteFile } = await import("./remote/remote-file.ts");
  const source = await openRemoteFile(location, { ...remote, signal });
  return {
    reader: sourceReader(checkedInOrder(source), signal),
    again: (begin, end) => source.read(begin, end - begin),
    close: () => source.close(),
  };
}

async function readAgain(path: string, begin: number, end: number): Promise<Uint8Array> {
  const source = await openFileSource(path);
  try {
    return await source.read(begin, end - begin);
  } finally {
    await source.close();
  }
}
