/**
 * Opens the store at a location: `s3://bucket/prefix`.
 *
 * @module
 */
import { parseLocation } from "./location.ts";
import { openS3, type S3Options, s3Objects } from "./s3-objects.ts";
import type { ObjectStore } from "./store.ts";

/** How to reach stores. */
export interface StoreOptions {
  /** Options of object storage. */
  readonly s3?: S3Options | undefined;
}

/**
 * Opens a store.
 *
 * @throws LqaError USAGE for anything but `s3://bucket/prefix`, including a directory; MISSING_PACKAGE
 */
export async function openObjects(location: string, options: StoreOptions = {}): Promise<ObjectStore> {
  const stores = createStores(options);
  return { ...(await stores.open(location)), close: () => stores.close() };
}

/** Opens stores by location. All stores of one `Stores` share their connections. */
export interface Stores {
  /** @throws LqaError as {@link openObjects} */
  open(location: string): Promise<ObjectStore>;
  close(): Promise<void>;
}

/** Makes a {@link Stores} that connects on demand and closes all its stores together. */
export function createStores({ s3 }: StoreOptions = {}): Stores {
  let service: ReturnType<typeof openS3> | undefined;
  return {
    async open(location) {
      parseLocation(location);
      service ??= openS3(s3);
      return s3Objects(location, await service);
    },
    async close() {
      if (service !== undefined) (await service).client.destroy();
      service = undefined;
    },
  };
}
