/**
 * A directory as a store of adapters (Node only): adapter NAME is the file `NAME.lqa`.
 *
 * @module
 */
import { join } from "node:path";
import { type AdapterStore, safeName } from "../serve/stores.ts";
import { openFileSource } from "./files/file.ts";

/** Adapters of a directory, without its subdirectories. Files are opened on demand, so others may add and remove them. */
export function directoryStore(path: string): AdapterStore {
  return {
    async open(name) {
      const source = await openFileSource(join(path, `${safeName(name)}.lqa`));
      return { source, close: () => source.close() };
    },
  };
}
