/**
 * The `.lqa` files of a location in object storage, each to be read once, in order.
 *
 * @module
 */
import type { ByteSource } from "../../core/io/source.ts";
import { type ByteReader, sourceReader } from "../../core/validate/window.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { openObjects } from "./open-store.ts";
import { type ObjectInfo, objectSource, placeOf, type ReadableStore, STEP } from "./store.ts";

/** An `.lqa` file in object storage. */
export interface LqaObject {
  /** `s3://bucket/key`. */
  readonly location: string;
  /** Opens the version that was listed. */
  open(): { readonly reader: ByteReader; again(begin: number, end: number): Promise<Uint8Array> };
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
    location: placeOf(store, info.key),
    open: () => openObject(store, info),
  }));
}

/** Opens an object to be read in order. */
export function openObject(store: ReadableStore, info: ObjectInfo): ReturnType<LqaObject["open"]> {
  const source = inSteps(objectSource(store, info));
  return { reader: sourceReader(source), again: (begin, end) => source.read(begin, end - begin) };
}

/** Reads a source in whole steps and keeps the last one, so that a small object costs one request. */
function inSteps(source: ByteSource): ByteSource {
  let last: { readonly begin: number; readonly bytes: Uint8Array } | undefined;
  return {
    size: source.size,
    async read(offset, length, signal) {
      const begin = offset - (offset % STEP);
      if (last?.begin !== begin) last = { begin, bytes: await source.read(begin, STEP, signal) };
      // Fewer bytes than asked for, at the end of a step: the reader comes back for the rest.
      return last.bytes.subarray(offset - begin, offset - begin + length);
    },
  };
}
