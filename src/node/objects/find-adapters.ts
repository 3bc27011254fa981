/**
 * Finds the adapters among the objects of a store: each directory with a configuration is one adapter; elsewhere each file of
 * weights is one. Hidden objects and directories, and adapters that are encoded already, are left out.
 *
 * @module
 */
import { CONFIG_FILE, isEncoded, LQA_FILE, usualWeights, WEIGHTS_ENDING } from "../files/adapter-names.ts";
import type { ObjectInfo, ReadableStore } from "./store.ts";

/** An adapter in a store. */
export interface FoundAdapter {
  /** Path below the location, without the ending of the file; empty for the location itself. */
  readonly name: string;
  readonly files: readonly ObjectInfo[];
}

/** All adapters of a store, in the order of their names. @throws LqaError what the store throws */
export async function findAdapters(store: ReadableStore, signal?: AbortSignal): Promise<FoundAdapter[]> {
  const folders = new Map<string, ObjectInfo[]>();
  for await (const info of store.list({ signal })) {
    const { key } = info;
    const path = key.slice(0, key.lastIndexOf("/") + 1);
    const name = key.slice(path.length);
    const isPart = WEIGHTS_ENDING.test(name) || name === CONFIG_FILE || name === LQA_FILE;
    if (!isPart || /(^|\/)\./.test(key)) continue;
    folders.set(path, [...(folders.get(path) ?? []), info]);
  }
  const found: FoundAdapter[] = [];
  for (const [path, all] of folders) {
    const names = all.map(({ key }) => key.slice(path.length));
    if (isEncoded(names)) continue;
    const files = all.filter((_, at) => names[at] !== LQA_FILE);
    if (names.includes(CONFIG_FILE)) found.push({ name: path.slice(0, -1), files: chosen(path, files) });
    else for (const file of files) found.push({ name: file.key.replace(WEIGHTS_ENDING, ""), files: [file] });
  }
  return found.sort((x, y) => (x.name < y.name ? -1 : 1));
}

/** The configuration and the weights of an adapter; all candidates if the names are ambiguous. */
function chosen(path: string, files: readonly ObjectInfo[]): readonly ObjectInfo[] {
  const usual = usualWeights(files.map(({ key }) => key.slice(path.length)));
  return usual === undefined
    ? files
    : files.filter(({ key }) => [CONFIG_FILE, usual].includes(key.slice(path.length)));
}
