/**
 * Opens an `.lqa` file at a location for one read from the first byte to the last (Node only): a path, an address, or a file
 * on the hub.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import type { ByteSource } from "../core/io/source.ts";
import { type ByteReader, sourceReader } from "../core/validate/window.ts";
import type { LocationOptions } from "./adapter-source.ts";
import { openFileReader, openFileSource } from "./files/file.ts";
import { isRemote } from "./remote/location.ts";

/** An open file that is read in order. */
export interface OpenLqa {
  /** Name of the file, without its folder. */
  readonly name: string;
  /** The reader. At the end of the file it compares the bytes with the digest that the server lists. */
  readonly reader: ByteReader;
  /** Reads some bytes again; undefined for a pipe, which no longer has them. */
  again(begin: number, end: number): Promise<Uint8Array | undefined>;
  /** Reads up to `most` bytes from the beginning of a file next to it. @throws LqaError NOT_FOUND; IO; as `openRemoteFile` */
  neighbour(name: string, most: number): Promise<Uint8Array>;
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
    const reader = await openFileReader(location, { regular });
    return {
      name: basename(location),
      reader,
      again: async (begin, end) =>
        reader.size === undefined ? undefined : await readPart(openFileSource(location), begin, end),
      neighbour: (name, most) => readPart(openFileSource(join(dirname(location), name)), 0, most),
      close: () => reader.close(),
    };
  }
  const { checkedInOrder, findRemoteFile } = await import("./remote/remote-file.ts");
  const { folder, name } = await findRemoteFile(location, { ...remote, signal });
  const source = await folder.open(name);
  return {
    name,
    reader: sourceReader(checkedInOrder(source), signal),
    again: (begin, end) => source.read(begin, end - begin),
    neighbour: (other, most) => readPart(folder.open(other), 0, most),
    close: () => source.close(),
  };
}

/** Reads up to `most` bytes from the beginning of a file. @throws LqaError as `openFileSource` and `openRemoteFile` */
export async function readBeginning(
  location: string,
  most: number,
  { remote, signal }: LocationOptions = {},
): Promise<Uint8Array> {
  if (!isRemote(location)) return await readPart(openFileSource(location), 0, most);
  const { openRemoteFile } = await import("./remote/remote-file.ts");
  return await readPart(openRemoteFile(location, { ...remote, signal }), 0, most);
}

async function readPart(
  opening: Promise<ByteSource & { close(): Promise<void> }>,
  begin: number,
  end: number,
): Promise<Uint8Array> {
  const source = await opening;
  try {
    return await source.read(begin, end - begin);
  } finally {
    await source.close();
  }
}
