/**
 * Finds the adapters among the objects of a store: each directory with a configuration is one adapter; elsewhere each file of
 * weights is one.
 *
 * Objects are visited once, in their order, and memory holds only those of directories that are not complete yet. Each
 * adapter comes with the key from which a later listing can resume.
 *
 * @module
 */
import { CONFIG_FILE, usualWeights, WEIGHTS_ENDING } from "../node/files/adapter-names.ts";
import type { ObjectInfo, ReadableStore } from "../node/objects/store.ts";

/** An adapter in a store. */
export interface FoundAdapter {
  /** Path below the location, without the file extension; empty for the location itself. */
  readonly name: string;
  readonly files: readonly ObjectInfo[];
  /** A listing after this key returns every adapter that did not come yet. */
  readonly resumeAfter: string;
}

/** Most files of one adapter that a job lists. */
export const MOST_FILES = 64;

/** A directory that the listing has not left yet. */
interface Directory {
  /** Path with its final slash; empty for the location itself. */
  readonly path: string;
  readonly isAdapter: boolean;
  /** Key before its first object. */
  readonly before: string;
  readonly files: ObjectInfo[];
}

/** All adapters of a store whose objects come after the key `after`. Skips hidden files and directories. */
export async function* findAdapters(
  store: ReadableStore,
  { after, signal }: { readonly after?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<FoundAdapter> {
  const open: Directory[] = [];
  let before = after ?? "";
  /** A listing that resumes there repeats everything that open directories hold. */
  const resumeAfter = (seen: string): string => open.find(({ isAdapter }) => isAdapter)?.before ?? seen;
  const closed = (directory: Directory): FoundAdapter => ({
    name: directory.path.slice(0, -1),
    files: chosen(directory),
    resumeAfter: resumeAfter(before),
  });
  for await (const info of store.list({ after, signal })) {
    const { key } = info;
    const path = key.slice(0, key.lastIndexOf("/") + 1);
    const name = key.slice(path.length);
    while (open.length > 0 && !path.startsWith(open.at(-1)!.path)) {
      const directory = open.pop()!;
      if (directory.isAdapter) yield closed(directory);
    }
    const isWeights = WEIGHTS_ENDING.test(name);
    if ((isWeights || name === CONFIG_FILE) && !/(^|\/)\./.test(key)) {
      let directory = open.at(-1)?.path === path ? open.at(-1)! : undefined;
      if (directory === undefined) {
        const isAdapter =
          name === CONFIG_FILE || (await store.head(`${path}${CONFIG_FILE}`, signal)) !== undefined;
        directory = { path, isAdapter, before, files: [] };
        open.push(directory);
      }
      if (!directory.isAdapter)
        yield {
          name: key.replace(WEIGHTS_ENDING, ""),
          files: [info],
          resumeAfter: resumeAfter(key),
        };
      else if (directory.files.length < MOST_FILES) directory.files.push(info);
    }
    before = key;
  }
  yield* open
    .reverse()
    .filter(({ isAdapter }) => isAdapter)
    .map(closed);
}

/** The configuration and the weights of an adapter; all candidates if the names are ambiguous. */
function chosen({ path, files }: Directory): ObjectInfo[] {
  const usual = usualWeights(files.map(({ key }) => key.slice(path.length)));
  return usual === undefined
    ? files
    : files.filter(({ key }) => [CONFIG_FILE, usual].includes(key.slice(path.length)));
}
