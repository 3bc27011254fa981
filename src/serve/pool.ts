/**
 * A pool of adapters that stay packed: thousands by name, in a budget of bytes, loaded on demand and evicted when others need
 * the memory. Adapters are added, removed and replaced while requests run.
 *
 * Memory stays within the budget: packed adapters and decoded factors are counted before they are allocated. An
 * error affects only its own request; adapters loaded for others stay unchanged.
 *
 * @module
 */

import * as KIND from "../error-catalogue.ts";
import { assertNotAborted, fail, isLqaError } from "../errors.ts";
import { Budget } from "./budget.ts";
import type { Draws } from "./draws.ts";
import { type Entry, entryOf, told, unknown } from "./entry.ts";
import { AdapterLease } from "./lease.ts";
import type { AcquireOptions, AdapterSource, PoolOptions, PoolStatistics } from "./pool-options.ts";
import type { Counters, Resident } from "./resident.ts";
import { Residents } from "./residents.ts";
import type { StoredAdapter } from "./stores.ts";

/** A pool of adapters. */
export class AdapterPool {
  readonly #options: PoolOptions;
  readonly #budget: Budget;
  readonly #entries = new Map<string, Entry>();
  readonly #residents: Residents;
  readonly #counters: Counters = {
    hits: 0,
    misses: 0,
    loads: 0,
    loadFailures: 0,
    evictions: 0,
    deduplicated: 0,
    decodedHits: 0,
    decodedMisses: 0,
    decodedEvictions: 0,
  };

  constructor(options: PoolOptions) {
    if (!(options.budgetBytes > 0)) throw new RangeError(`a budget of ${options.budgetBytes} bytes`);
    const { concurrentLoads = 1 } = options;
    if (!(Number.isInteger(concurrentLoads) && concurrentLoads > 0))
      throw new RangeError(`${concurrentLoads} loads at the same time`);
    if (options.shared === true && typeof SharedArrayBuffer === "undefined")
      throw new RangeError("`shared`, where the engine has no SharedArrayBuffer");
    this.#options = options;
    this.#budget = new Budget(options.budgetBytes);
    const { parents = [] } = options;
    const named = (): Entry[] => parents.map((name) => this.#entries.get(name) ?? this.#stored(name));
    this.#residents = new Residents(options, this.#budget, this.#counters, named);
  }

  /**
   * Returns an adapter that is ready to be applied. Loads it if it is not resident; concurrent requests share one load.
   *
   * @throws LqaError UNKNOWN_ADAPTER; BUDGET if it does not fit in addition to the adapters in use; CANNOT_APPLY,
   *   BASE_MODULE_MISSING and BASE_SHAPE if it does not fit the host; ABORTED; errors of the file, as in `open`, and of its
   *   source
   */
  async acquire(name: string, options: AcquireOptions = {}): Promise<AdapterLease> {
    const { modules, signal } = options;
    let counted = false;
    for (;;) {
      assertNotAborted(signal);
      const entry = this.#entries.get(name) ?? this.#enter(name);
      const lease = await entry.lock.run(async () => {
        // The entry was removed or replaced while this request waited.
        if (entry.removed) return undefined;
        if (!counted) this.#counters[entry.resident === undefined ? "misses" : "hits"]++;
        counted = true;
        return this.#lease(entry, modules, signal);
      }, signal);
      if (lease !== undefined) return lease;
    }
  }

  /**
   * Leases several adapters at once, for the rows of a batch.
   *
   * @returns leases, and errors of the other adapters, by name. An error of one adapter does not make this throw.
   */
  async acquireAll(
    names: Iterable<string>,
    options: AcquireOptions = {},
  ): Promise<{ readonly leases: Map<string, AdapterLease>; readonly failures: Map<string, unknown> }> {
    const leases = new Map<string, AdapterLease>();
    const failures = new Map<string, unknown>();
    const modules = options.modules === undefined ? undefined : [...options.modules];
    await Promise.all(
      [...new Set(names)].map(async (name) => {
        try {
          leases.set(name, await this.acquire(name, { ...options, modules }));
        } catch (error) {
          failures.set(name, error);
        }
      }),
    );
    return { leases, failures };
  }

  /** Makes a lease; runs under the entry's lock. */
  async #lease(
    entry: Entry,
    modules: Iterable<string> | undefined,
    signal: AbortSignal | undefined,
  ): Promise<AdapterLease | undefined> {
    const resident = await this.#hold(entry, signal);
    entry.leases++;
    const held: Draws[] = [];
    const release = (): void => {
      entry.leases--;
      for (const draws of held) draws.release();
      resident.release();
    };
    try {
      await this.#load(entry, resident, modules ?? resident.content.names, signal);
      for (const draws of resident.content.draws) {
        draws.hold(this.#budget, `the start of adapter "${entry.name}"`);
        held.push(draws);
      }
    } catch (error) {
      resident.settle();
      release();
      throw error;
    }
    if (entry.removed) {
      resident.settle();
      release();
      return undefined;
    }
    if (this.#options.completeInBackground ?? true) resident.completeInBackground();
    else resident.settle();
    const load = (names: Iterable<string>, signal?: AbortSignal): Promise<void> =>
      this.#load(entry, resident, names, signal);
    return new AdapterLease(entry.name, resident, load, release);
  }

  async #load(
    { name }: Entry,
    resident: Resident,
    modules: Iterable<string>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    try {
      await resident.load(modules, signal);
    } catch (error) {
      this.#counters.loadFailures++;
      throw told(error, name);
    }
  }

  /**
   * Adds an adapter, and loads it: whole if the pool verifies or `source` is bytes, else its index.
   *
   * @throws LqaError USAGE if the name exists; otherwise as {@link acquire}. Then the pool is unchanged.
   */
  async add(
    name: string,
    source: AdapterSource,
    options: { readonly pin?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    if (this.#entries.has(name))
      fail(KIND.USAGE, { where: `adapter "${name}"`, actual: "in the pool already", advice: "Use replace." });
    const entry = entryOf(name, source, options.pin ?? false);
    this.#entries.set(name, entry);
    try {
      await this.#fill(entry, options.signal);
    } catch (error) {
      this.#detach(entry);
      throw error;
    }
    if (entry.removed)
      fail(KIND.UNKNOWN_ADAPTER, { where: `adapter "${name}"`, actual: "removed while it was loaded" });
  }

  /**
   * Replaces an adapter with a new version: existing leases keep the old one, later requests get the new one. Both count
   * against the budget until the last old lease is released.
   *
   * @param source default: the store
   * @throws LqaError UNKNOWN_ADAPTER; otherwise as {@link acquire}. Then the old version stays.
   */
  async replace(
    name: string,
    source?: AdapterSource,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const old = this.#entries.get(name) ?? unknown(name);
    const entry = source === undefined ? this.#stored(name) : entryOf(name, source, false);
    try {
      await this.#fill(entry, options.signal);
      if (old.removed)
        fail(KIND.UNKNOWN_ADAPTER, { where: `adapter "${name}"`, actual: "removed or replaced meanwhile" });
    } catch (error) {
      this.#detach(entry);
      throw error;
    }
    entry.pinned = old.pinned;
    this.#detach(old);
    this.#entries.set(name, entry);
  }

  /**
   * Removes an adapter. Its memory is freed when the last lease is released; leases stay valid until then. If the store
   * has it, it can be acquired again.
   *
   * @param options `ifIdle`: removes it only if no lease exists
   * @throws LqaError UNKNOWN_ADAPTER; ADAPTER_IN_USE
   */
  remove(name: string, options: { readonly ifIdle?: boolean } = {}): void {
    const entry = this.#entries.get(name) ?? unknown(name);
    if (options.ifIdle === true && entry.leases > 0)
      fail(KIND.ADAPTER_IN_USE, { where: `adapter "${name}"`, actual: `${entry.leases} leases` });
    this.#detach(entry);
  }

  /** Loads an adapter and keeps it in memory until it is unpinned. @throws as {@link acquire} */
  async pin(name: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const lease = await this.acquire(name, options);
    const entry = this.#entries.get(name);
    if (entry !== undefined) entry.pinned = true;
    lease.release();
  }

  /** Lets an adapter be evicted again. @throws LqaError UNKNOWN_ADAPTER */
  unpin(name: string): void {
    (this.#entries.get(name) ?? unknown(name)).pinned = false;
  }

  /** The known names: added, or loaded from the store. */
  get names(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /** Whether the adapter with this name is in memory. */
  isResident(name: string): boolean {
    return this.#entries.get(name)?.resident !== undefined;
  }

  get statistics(): PoolStatistics {
    const residents = [...this.#residents.all];
    const entries = [...this.#entries.values()];
    const decodedBytes = residents.reduce((sum, resident) => sum + resident.decodedBytes, 0);
    return {
      ...this.#counters,
      budgetBytes: this.#budget.limit,
      usedBytes: this.#budget.used,
      startBytes: [...new Set(residents.flatMap(({ content }) => content.draws))].reduce(
        (sum, { heldBytes }) => sum + heldBytes,
        0,
      ),
      packedBytes: residents.reduce((sum, { bytes }) => sum + bytes, 0),
      decodedBytes,
      adapters: entries.length,
      resident: entries.filter(({ resident }) => resident !== undefined).length,
      contents: residents.length,
      pinned: entries.filter(({ pinned }) => pinned).length,
      leases: residents.reduce((sum, { holds }) => sum + holds, 0),
    };
  }

  /** Forgets every adapter. */
  clear(): void {
    for (const entry of [...this.#entries.values()]) this.#detach(entry);
  }

  /** Makes an entry for a name in the store. */
  #enter(name: string): Entry {
    const entry = this.#stored(name);
    this.#entries.set(name, entry);
    return entry;
  }

  #stored(name: string): Entry {
    const store = this.#options.store ?? unknown(name);
    const open = async (signal?: AbortSignal): Promise<StoredAdapter> => {
      try {
        return await store.open(name, signal);
      } catch (error) {
        if (isLqaError(error, "NOT_FOUND"))
          fail(KIND.UNKNOWN_ADAPTER, {
            where: `adapter ${JSON.stringify(name.slice(0, 200))}`,
            cause: error,
          });
        throw error;
      }
    };
    return { ...entryOf(name, open, false), fromStore: true };
  }

  #fill(entry: Entry, signal: AbortSignal | undefined): Promise<void> {
    return entry.lock.run(async () => {
      const resident = await this.#hold(entry, signal);
      try {
        // An adapter that was added from bytes cannot be loaded later.
        if (!entry.reloadable) await this.#load(entry, resident, resident.content.names, signal);
      } finally {
        resident.settle();
        resident.release();
      }
    }, signal);
  }

  #detach(entry: Entry): void {
    entry.removed = true;
    if (this.#entries.get(entry.name) === entry) this.#entries.delete(entry.name);
    const { resident } = entry;
    if (resident === undefined) return;
    entry.resident = undefined;
    resident.owners.delete(entry);
    resident.leaveIfUnused();
  }

  /**
   * The resident adapter of an entry, loaded if necessary, and held: it is not evicted before it is released. Runs under the
   * entry's lock.
   */
  async #hold(entry: Entry, signal: AbortSignal | undefined): Promise<Resident> {
    if (entry.resident !== undefined) return entry.resident.used().hold();
    let resident: Resident;
    try {
      resident = await this.#residents.open(entry, signal);
      this.#counters.loads++;
    } catch (error) {
      this.#counters.loadFailures++;
      // Forget a name that was never added if loading it failed.
      if (entry.fromStore) this.#detach(entry);
      throw told(error, entry.name);
    }
    if (!entry.removed) {
      entry.resident = resident;
      resident.owners.add(entry);
    }
    return resident;
  }
}
