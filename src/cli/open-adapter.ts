/**
 * Opens the adapter at a location: an `.lqa` file or an adapter in any dialect. Factors are decoded on demand.
 *
 * @module
 */
import type { ReadOptions } from "../adapters/dialect.ts";
import { readAdapter } from "../adapters/read-write.ts";
import { bandsText } from "../core/codecs/bands-text.ts";
import type { LqaFile } from "../core/read/lqa-file.ts";
import type { HttpOptions } from "../io/http.ts";
import { readSourceFiles } from "../node/adapter-source.ts";
import { isLqaPath } from "../node/files/adapter-files.ts";
import { readValidAdapter } from "../node/read-valid.ts";
import { isRemote } from "../node/remote/location.ts";
import type { DiffSide } from "../report/diff.ts";
import { readInput, STANDARD_INPUT } from "./open-input.ts";

/** An adapter, and the identity of its file. */
export interface OpenedAdapter extends DiffSide {
  readonly facts: {
    readonly path: string;
    readonly fileId: string | null;
    readonly contentId: string | null;
  };
}

/**
 * Opens the adapter at `path`, to compare it.
 *
 * @param parents the parents of an `.lqa` file
 * @throws LqaError as `readAdapter`, or the first error of an `.lqa` file
 */
export async function openAdapter(
  path: string,
  settings: ReadOptions,
  remote: HttpOptions,
  parents: readonly LqaFile[] = [],
): Promise<OpenedAdapter> {
  if (path !== STANDARD_INPUT && !(await isLqa(path, remote))) {
    const adapter = readAdapter(await readSourceFiles(path, { remote }), { ...settings, lazy: true });
    return { ...adapter, facts: { path, fileId: null, contentId: null } };
  }
  const source = path === STANDARD_INPUT ? await readInput(path, remote) : path;
  const { adapter, file, ids } = await readValidAdapter(source, { remote, parents, compare: true });
  const encodings = new Map(file.modules.map(({ name, bands }) => [name, bandsText(bands)]));
  return { ...adapter, encodings, facts: { path, ...ids } };
}

async function isLqa(path: string, remote: HttpOptions): Promise<boolean> {
  if (!isRemote(path)) return await isLqaPath(path);
  const { isRemoteLqa } = await import("../node/remote/remote-file.ts");
  return await isRemoteLqa(path, remote);
}
