/**
 * From a location to its store: `s3://bucket/prefix`, or a directory.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { directoryObjects } from "./directory-objects.ts";
import { type S3Options, s3Objects } from "./s3-objects.ts";
import type { ObjectStore } from "./store.ts";

/** How to reach stores. */
export interface StoreOptions {
  /** Of object storage. */
  readonly s3?: S3Options | undefined;
}

/**
 * Opens a store.
 *
 * @throws LqaError USAGE for an address of another kind; MISSING_PACKAGE; IO
 */
export async function openObjects(location: string, { s3 }: StoreOptions = {}): Promise<ObjectStore> {
  if (location.startsWith("s3://")) return await s3Objects(location, s3);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(location))
    fail(KIND.USAGE, { where: "location", expected: "s3://bucket/prefix or a directory", actual: location });
  return await directoryObjects(location);
}

/** Stores by location, each opened once. */
export interface Stores {
  open(location: string): Promise<ObjectStore>;
  close(): Promise<void>;
}

/** Stores that are opened when they are asked for and closed together. */
export function createStores(options: StoreOptions = {}): Stores {
  const opened = new Map<string, Promise<ObjectStore>>();
  return {
    open(location) {
      const known = opened.get(location);
      if (known !== undefined) return known;
      const opening = openObjects(location, options);
      opened.set(location, opening);
      // One that could not be opened may be the next time.
      opening.catch(() => opened.delete(location));
      return opening;
    },
    async close() {
      for (const opening of opened.values()) await (await opening).close();
      opened.clear();
    },
  };
}
