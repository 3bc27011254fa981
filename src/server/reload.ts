/**
 * Hot reload: adapters of a directory whose file is replaced or removed while they are in memory.
 *
 * Every few seconds the files of the names in memory are looked at, one after the other. A changed file is loaded as a new
 * version; if it is not valid the old version stays, and it is not tried again until it changes again.
 *
 * @module
 */
import { join } from "node:path";
import { sleep } from "../core/io/slots.ts";
import { isLqaError } from "../errors.ts";
import { fileState } from "../node/files/file.ts";
import type { AdapterPool } from "../serve/pool.ts";
import { type AdapterStore, safeName } from "../serve/stores.ts";

/** What became of a changed file. */
export interface Reload {
  readonly name: string;
  readonly outcome: "reloaded" | "removed" | "failed";
  readonly error?: unknown;
}

/** A directory whose files are looked at. */
export class WatchedDirectory {
  readonly #directory: string;
  /** What each file was when it was opened last. */
  readonly #versions = new Map<string, string>();
  /** The store, which notes what it opens. */
  readonly store: AdapterStore;

  constructor(directory: string, store: AdapterStore) {
    this.#directory = directory;
    this.store = {
      open: async (name, signal) => {
        // Before it is opened: if it changes in between, it is loaded once too often and not once too seldom.
        const version = await this.#versionOf(name);
        const opened = await store.open(name, signal);
        this.#versions.set(name, version);
        return opened;
      },
    };
  }

  /** Looks at the files of the adapters in memory until the signal is aborted. */
  async watch(
    pool: AdapterPool,
    seconds: number,
    signal: AbortSignal,
    onReload: (reload: Reload) => void,
  ): Promise<void> {
    while (!signal.aborted) {
      await sleep(1000 * seconds, signal).catch(() => {});
      const names = new Set(pool.names);
      // Names of the pool whose adapter is being loaded stay: they are looked at when it is there.
      for (const name of this.#versions.keys()) if (!names.has(name)) this.#versions.delete(name);
      for (const name of names) {
        if (signal.aborted) return;
        if (!pool.isResident(name)) continue;
        const reload = await this.#look(pool, name, signal);
        if (reload !== undefined) onReload(reload);
      }
    }
  }

  async #look(pool: AdapterPool, name: string, signal: AbortSignal): Promise<Reload | undefined> {
    const version = await this.#versionOf(name);
    if (version === this.#versions.get(name) || version === UNKNOWN) return undefined;
    try {
      if (version === MISSING) {
        pool.remove(name);
        return { name, outcome: "removed" };
      }
      await pool.replace(name, undefined, { signal });
      return { name, outcome: "reloaded" };
    } catch (error) {
      // Forgotten meanwhile, or the server ends.
      if (isLqaError(error, "UNKNOWN_ADAPTER") || isLqaError(error, "ABORTED")) return undefined;
      this.#versions.set(name, version);
      return { name, outcome: "failed", error };
    }
  }

  async #versionOf(name: string): Promise<string> {
    try {
      return (await fileState(join(this.#directory, `${safeName(name)}.lqa`))) ?? MISSING;
    } catch (error) {
      return isLqaError(error, "NOT_FOUND") ? MISSING : UNKNOWN;
    }
  }
}

const MISSING = "missing";
/** It may be there: the system does not say. */
const UNKNOWN = "unknown";
