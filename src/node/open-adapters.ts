/**
 * Opens the adapters of a pool by location: `s3://…`, `https://…`, or a directory. The pool reads files by ranges, within its
 * budget, as from any other store.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type AdapterStore, httpStore, safeName } from "../serve/stores.ts";
import { directoryStore } from "./directory-store.ts";
import { openObjects, type StoreOptions } from "./objects/open-store.ts";
import { objectPlace, objectSource } from "./objects/store.ts";

/**
 * Adapters below a location, as `AdapterPool` takes them: adapter NAME is the file `NAME.lqa`.
 *
 * A file in object storage is read at the version that it had when it was opened; if someone replaces it, reads fail with
 * REMOTE_CHANGED.
 *
 * @param location `s3://bucket/prefix`, an `https://` address that ends with a slash, or a directory
 * @throws LqaError USAGE for an address of another kind; MISSING_PACKAGE for object storage without `@aws-sdk/client-s3`
 */
export async function openAdapters(location: string, options: StoreOptions = {}): Promise<AdapterStore> {
  if (/^https?:\/\//i.test(location)) return httpStore(location);
  if (!location.startsWith("s3://")) {
    if (location.includes("://"))
      fail(KIND.USAGE, { where: "location", expected: "s3://, https:// or a directory", actual: location });
    return directoryStore(location);
  }
  const store = await openObjects(location, options);
  return {
    async open(name, signal) {
      const key = `${safeName(name)}.lqa`;
      const info = await store.head(key, signal);
      if (info === undefined)
        fail(KIND.NOT_FOUND, { where: objectPlace(store, key), actual: "no such object" });
      return { source: objectSource(store, info) };
    },
  };
}
