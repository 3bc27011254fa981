/**
 * A directory of adapters as a store (Node only): `NAME.lqa` for each.
 *
 * @module
 */
import { join } from "node:path";
import { type AdapterStore, safeName } from "../serve/stores.ts";
import { openFileSource } from "./files/file.ts";

/** Adapters of a directory, not of its subdirectories. Files may be added and removed; they are opened on demand. */
export function directoryStore(path: string): AdapterStore {
  return {
    async open(name) {
      const source = await openFileSource(join(path, `${safeName(name)}.lqa`));
      return { source, close: () => source.close() };
    },
  };
}
