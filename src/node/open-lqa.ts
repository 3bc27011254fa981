/**
 * Opens an `.lqa` file at a location for one read from the first byte to the last (Node only): a path, also of a directory with
 * `adapter_model.lqa`, an address, or a file on the hub.
 *
 * @module
 */
import type { Input } from "../io/input.ts";
import type { LocationOptions } from "./adapter-source.ts";
import { lqaPath } from "./files/adapter-files.ts";
import { openFileInput } from "./files/file.ts";
import { isRemote } from "./remote/location.ts";

/** An open file that is read in order. */
export interface OpenLqa {
  /** Its bytes. The read that reaches the end compares them with the digest that the server lists. */
  readonly input: Input;
  /** Reads some bytes again; undefined for a pipe, which no longer has them. */
  again(begin: number, end: number): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

/**
 * Opens the file at a location. The caller closes it.
 *
 * @param options `regular` refuses pipes and devices: for paths that a program found rather than the user typed
 * @throws LqaError as `openFileInput` and `openRemoteFile`
 */
export async function openLqa(
  location: string,
  { regular, remote, signal }: LocationOptions & { readonly regular?: boolean | undefined } = {},
): Promise<OpenLqa> {
  if (!isRemote(location)) {
    const input = await openFileInput(await lqaPath(location), { regular });
    return {
      input,
      again: async (begin, end) => ("read" in input ? await input.read(begin, end - begin) : undefined),
      close: () => input.close(),
    };
  }
  const { checkedInOrder, openRemoteFile } = await import("./remote/remote-file.ts");
  const source = await openRemoteFile(location, { ...remote, signal });
  return {
    input: checkedInOrder(source),
    again: (begin, end) => source.read(begin, end - begin),
    close: () => source.close(),
  };
}
