/**
 * A location in object storage as the place where `encodeMany` writes. An object appears whole or not at all, and a
 * conditional put replaces none, so any number of processes can write there.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { OutputFolder } from "../files/output-folder.ts";
import { outputExists } from "../files/write-file.ts";
import { isPlainKey } from "./location.ts";
import { openObject } from "./lqa-objects.ts";
import { type ObjectStore, objectPlace } from "./store.ts";

/** Opens a store for writing. */
export function openOutputBucket(store: ObjectStore): OutputFolder {
  return {
    pathOf: (name) => objectPlace(store, name),
    async open(name) {
      const info = await store.head(name);
      return info && { input: openObject(store, info).input, close: async () => {} };
    },
    async check(name) {
      if (!isPlainKey(name))
        fail(KIND.USAGE, {
          where: objectPlace(store, name),
          expected: "a key whose parts are plain names of at most 240 bytes, 900 together",
          actual: "another",
          advice: "Rename the adapter.",
        });
    },
    async write(name, bytes, { force }) {
      const outcome = await store.put(name, bytes, { replace: force === true });
      if (outcome === "exists") throw outputExists(objectPlace(store, name));
    },
  };
}
