/**
 * Hot reload: adapters of a directory whose file is replaced or removed while they are in memory.
 *
 * Every few seconds the watcher checks the files of the adapters in memory, one after the other. It loads a changed file as
 * a new version. If that version is not valid the old one stays, and the watcher does not retry until the file changes again.
 *
 * @module
 */
import { join } from "node:path";
import { sleep } from "../core/io/slots.ts";
import { isLqaError } from "../errors.ts";
import { fileState } from "../node/files/file.ts";
import type { AdapterPool } from "../serve/pool.ts";
import { type AdapterStore, safeName } from "../serve/stores.ts";

/** The outcome for a changed file. */
export interface Reload {
  readonly name: string;
  readonly outcome: "reloaded" | "removed" | "failed";
  readonly error?: unknown;
}

/** A directory of adapters, watched for changes. */
export class WatchedDirectory {
  readonly #directory: string;
  /** State of each file when the store last opened it. */
  readonly #versions = new Map<string, string>();
  /** The store, which notes what it opens. */
  readonly store: AdapterStore;

  constructor(directory: string, store: AdapterStore) {
    this.#directory = directory;
    this.store = {
      open: async (name, signal) => {
        // Taken before opening: a file that changes in between is loaded once too often instead of once too seldom.
        const version = await this.#versionOf(name);
        const opened = await store.open(name, signal);
        this.#versions.set(name, version);
        return opened;
      },
    };
  }

  /** Checks the files of the adapters in memory every `seconds`, until the signal is aborted. */
  async watch(
    pool: AdapterPool,
    seconds: number,
    signal: AbortSignal,
    onReload: (reload: Reload) => void,
  ): Promise<void> {
    while (!signal.aborted) {
      await sleep(1000 * seconds, signal).catch(() => {});
      const names = new Set(pool.names);
      // The version of an adapter that is still loading stays: a later round checks it.
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
      // Another call removed the name, or the server stops.
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
/** The system does not say whether the file exists. */
const UNKNOWN = "unknown";
