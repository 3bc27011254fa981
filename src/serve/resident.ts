/**
 * A content in a pool, with everything that refers to it: its names, leases, decoded factors. It leaves the budget when it
 * is evicted, or when it has neither a name nor a lease.
 *
 * @module
 */

import { Slots } from "../common/slots.ts";
import { factorsOf } from "../core/format.ts";
import {
  type DecodedModule,
  type DecodeOptions,
  decodeModule,
  type LqaFile,
  type WeightType,
} from "../core/index.ts";
import { parameterCount } from "../model/adapter.ts";
import type { Budget, Holding, Leaving } from "./budget.ts";
import type { Content } from "./content.ts";
import type { StoredAdapter } from "./stores.ts";

/** How to decode factors for the cache of a pool. */
export type CachedDecoding<T extends WeightType = WeightType> = Pick<
  DecodeOptions<T>,
  "layout" | "type" | "multiplier"
>;

/** Counters of a pool. */
export interface Counters {
  hits: number;
  misses: number;
  loads: number;
  loadFailures: number;
  evictions: number;
  deduplicated: number;
  decodedHits: number;
  decodedMisses: number;
  decodedEvictions: number;
}

/** A name that refers to a resident adapter. */
export interface Owner {
  readonly name: string;
  readonly reloadable: boolean;
  pinned: boolean;
  resident: Resident | undefined;
}

interface Decoded extends Holding {
  readonly module: DecodedModule<WeightType>;
  /** Leases that use it. */
  readonly users: Set<object>;
}

/** A resident adapter. */
export class Resident implements Holding {
  readonly content: Content;
  readonly contentId: string | undefined;
  /** Whether every byte was read and the content id computed. */
  readonly proven: boolean;
  /** Its parent. */
  readonly needs: Resident | undefined;
  /** Length of its chain of parents. */
  readonly generations: number;
  readonly owners: Set<Owner> = new Set();
  readonly #lock = new Slots(1);
  /** Aborted when it leaves the pool. */
  readonly #control = new AbortController();
  #holds = 0;
  /** Residents whose parent it is. */
  readonly #children = new Set<Resident>();
  #completing = false;
  #onSettled: (() => void) | undefined;
  readonly #budget: Budget;
  readonly #counters: Counters;
  readonly #decoded = new Map<string, Decoded>();
  readonly #onGone: (resident: Resident) => void;
  /** Open as long as modules are missing. */
  #origin: { readonly file: LqaFile; readonly stored: StoredAdapter } | undefined;

  /** The caller has already taken the content's bytes from the budget. */
  constructor(
    content: Content,
    {
      contentId,
      proven,
      parent,
    }: Pick<Resident, "contentId" | "proven"> & { readonly parent?: Resident | undefined },
    origin: { readonly file: LqaFile; readonly stored: StoredAdapter },
    to: {
      readonly budget: Budget;
      readonly counters: Counters;
      onGone(resident: Resident): void;
      onSettled(): void;
    },
  ) {
    this.#onSettled = to.onSettled;
    this.content = content;
    this.contentId = contentId;
    this.proven = proven;
    this.needs = parent;
    this.generations = parent === undefined ? 0 : 1 + parent.generations;
    if (parent !== undefined) parent.#children.add(this);
    this.#origin = origin;
    this.#budget = to.budget;
    this.#counters = to.counters;
    this.#onGone = to.onGone;
    this.#budget.add(this, "dear");
    for (const draws of content.draws) draws.join();
    this.#closeIfComplete();
  }

  get bytes(): number {
    return this.content.bytes;
  }

  get pinned(): boolean {
    return [...this.owners].some(({ pinned }) => pinned);
  }

  isFree(leaving: Leaving): boolean {
    if (this.#holds > 0) return false;
    for (const child of this.#children) if (!leaving.has(child)) return false;
    return [...this.owners].every(({ pinned, reloadable }) => reloadable && !pinned);
  }

  /** Called by the budget when it evicts this. */
  drop(): void {
    this.#counters.evictions++;
    this.#leave();
  }

  /** Marks it as used. */
  used(): this {
    this.#budget.touch(this);
    return this;
  }

  /** Prevents eviction until as many calls of `release`. */
  hold(): this {
    this.#holds++;
    return this;
  }

  release(): void {
    this.#holds--;
    this.leaveIfUnused();
  }

  get holds(): number {
    return this.#holds;
  }

  /** Leaves the pool if nothing refers to it. */
  leaveIfUnused(): void {
    if (this.#holds > 0 || this.#children.size > 0 || this.owners.size > 0) return;
    this.#budget.remove(this);
    this.#leave();
  }

  #leave(): void {
    // A parent without a name leaves with its last child, even if the budget drops both.
    if (this.#control.signal.aborted) return;
    for (const owner of this.owners) owner.resident = undefined;
    this.owners.clear();
    for (const decoded of this.#decoded.values()) this.#budget.remove(decoded);
    this.#decoded.clear();
    for (const draws of this.content.draws) draws.leave(this.#budget);
    this.#control.abort();
    this.#close();
    this.content.retire();
    this.#onGone(this);
    if (this.needs === undefined) return;
    this.needs.#children.delete(this);
    this.needs.leaveIfUnused();
  }

  /** Loads missing modules. */
  async load(names: Iterable<string>, signal: AbortSignal | undefined): Promise<void> {
    if (this.#origin === undefined) return;
    await this.#lock.run(async () => {
      // Another caller may have loaded everything meanwhile.
      if (this.#origin === undefined) return;
      await this.content.load(this.#origin.file, names, signal);
      this.#closeIfComplete();
    }, signal);
  }

  /**
   * Loads the missing modules, unless such a load is already running. Its errors are ignored: a caller that requests a module
   * gets the error of its own load.
   */
  completeInBackground(): void {
    if (this.#origin === undefined || this.#completing) return;
    this.#completing = true;
    this.load(this.content.names, this.#control.signal)
      .catch(() => {})
      .finally(() => {
        this.#completing = false;
        this.settle();
      });
  }

  /** Called when loading has ended or was given up, so that the next waiting load can begin. */
  settle(): void {
    this.#onSettled?.();
    this.#onSettled = undefined;
  }

  #closeIfComplete(): void {
    if (this.content.complete) this.#close();
  }

  #close(): void {
    const stored = this.#origin?.stored;
    this.#origin = undefined;
    stored?.close?.().catch(() => {});
    this.settle();
  }

  /**
   * A decoded module, cached or new. It stays in the cache at least until the user is gone.
   *
   * @throws LqaError BUDGET; USAGE if the module is not loaded
   */
  decoded(name: string, how: CachedDecoding, user: object): DecodedModule<WeightType> | undefined {
    const packed = this.content.module(name);
    if (packed === undefined) return undefined;
    const { layout = "peft", type = "f32", multiplier = false } = how;
    const key = `${layout} ${type} ${multiplier} ${name}`;
    const known = this.#decoded.get(key);
    if (known !== undefined) {
      this.#counters.decodedHits++;
      this.#budget.touch(known);
      known.users.add(user);
      return known.module;
    }
    this.#counters.decodedMisses++;
    const bytes = (type === "f16" ? 2 : 4) * parameterCount(packed.shape);
    this.#budget.take(bytes, `decoded factors of module "${name}"`);
    let module: DecodedModule<WeightType>;
    try {
      module = decodeModule<WeightType>(packed.shape, factorsOf(packed), {
        layout,
        type,
        multiplier,
        budgetBytes: bytes,
      });
    } catch (error) {
      this.#budget.give(bytes);
      throw error;
    }
    const users = new Set([user]);
    const decoded: Decoded = {
      bytes,
      module,
      users,
      isFree: () => users.size === 0,
      drop: () => {
        this.#counters.decodedEvictions++;
        this.#decoded.delete(key);
      },
    };
    this.#decoded.set(key, decoded);
    this.#budget.add(decoded, "cheap");
    return module;
  }

  /** A user no longer needs its decoded factors. */
  forget(user: object): void {
    for (const { users } of this.#decoded.values()) users.delete(user);
  }

  get decodedBytes(): number {
    let sum = 0;
    for (const { bytes } of this.#decoded.values()) sum += bytes;
    return sum;
  }
}
