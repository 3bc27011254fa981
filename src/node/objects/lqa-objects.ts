/**
 * The `.lqa` files of a location in object storage, each to be read once, in order.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Input } from "../../io/input.ts";
import { openObjects } from "./open-store.ts";
import { type ObjectInfo, objectPlace, objectSource, type ReadableStore } from "./store.ts";

/** An `.lqa` file in object storage. */
export interface LqaObject {
  /** `s3://bucket/key`. */
  readonly location: string;
  /** Opens the version that was listed. */
  open(): { readonly input: Input; again(begin: number, end: number): Promise<Uint8Array> };
}

/**
 * Lists the `.lqa` files at a location: the one that it names, or all below it, in the order of their keys. Hidden objects
 * and directories are left out.
 *
 * @throws LqaError NOT_FOUND if there is none; as `openObjects` and the store
 */
export async function listLqaObjects(location: string): Promise<LqaObject[]> {
  const [, above, name] = /^(s3:\/\/.+)\/([^/]+\.lqa)$/s.exec(location) ?? [];
  const store = await openObjects(above ?? location);
  const found: ObjectInfo[] = [];
  if (name !== undefined) {
    const info = await store.head(name);
    if (info !== undefined) found.push(info);
  } else
    for await (const info of store.list())
      if (info.key.endsWith(".lqa") && !/(^|\/)\./.test(info.key)) found.push(info);
  if (found.length === 0)
    fail(KIND.NOT_FOUND, {
      where: location,
      expected: name === undefined ? "objects whose keys end with .lqa" : "an object",
      actual: "none",
      advice: "Check the bucket and the prefix.",
    });
  return found.map((info) => ({
    location: objectPlace(store, info.key),
    open: () => openObject(store, info),
  }));
}

/** Opens an object. */
export function openObject(store: ReadableStore, info: ObjectInfo): ReturnType<LqaObject["open"]> {
  const input = objectSource(store, info);
  return { input, again: (begin, end) => input.read(begin, end - begin) };
}
