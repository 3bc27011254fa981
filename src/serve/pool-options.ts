/**
 * Options, requests and statistics of a pool.
 *
 * @module
 */
import type { ByteSource } from "../core/index.ts";
import type { TensorRole } from "../model/adapter.ts";
import type { Counters } from "./resident.ts";
import type { AdapterStore, StoredAdapter } from "./stores.ts";

/** Options of a pool. */
export interface PoolOptions {
  /** Most bytes of packed adapters, their starts and decoded factors together. */
  readonly budgetBytes: number;
  /** Source of adapters that were not added. */
  readonly store?: AdapterStore | undefined;
  /**
   * Reads and verifies the whole file before an adapter is used; adapters with equal content then share memory. Default true.
   * If false, only the requested modules are read, and each is checked by its CRC-32.
   */
  readonly verify?: boolean | undefined;
  /**
   * Names of adapters, added or in the store, that may be parents of others (spec clause 8.9). A child finds its parent by
   * content id among these and the adapters in memory; the pool fetches nothing else. A parent is read and verified whole, is in
   * memory once for all of its children, and stays as long as one of them does.
   */
  readonly parents?: readonly string[] | undefined;
  /** Without `verify`: adapters whose files state the same content id share memory. Use it only for files that you trust. */
  readonly trustStoredIds?: boolean | undefined;
  /**
   * Without `verify`: also loads the other modules after the requested ones, then closes the file. Default true. If false,
   * each adapter with missing modules keeps its file open.
   */
  readonly completeInBackground?: boolean | undefined;
  /**
   * Keeps planes in SharedArrayBuffers, so that `packed` of a lease can be posted to workers without a copy. Default false. In
   * a browser, the page then needs cross-origin isolation.
   */
  readonly shared?: boolean | undefined;
  /** Most adapters that load, with their files open, at the same time. Default 32. */
  readonly concurrentLoads?: number | undefined;
  /** Roles of plain tensors that the host applies, e.g. magnitudes of DoRA. Others are CANNOT_APPLY. Default none. */
  readonly hostTensors?: readonly TensorRole[] | undefined;
  /** Shapes of the base model's tensors by name. The pool refuses an adapter that does not fit. See `checkBase`. */
  readonly base?: ReadonlyMap<string, readonly number[]> | undefined;
}

/** The source of an added adapter. The pool does not keep bytes, so it never evicts an adapter that was added from bytes. */
export type AdapterSource = Uint8Array | ByteSource | ((signal?: AbortSignal) => Promise<StoredAdapter>);

/** Options of a request for an adapter. */
export interface AcquireOptions {
  /** Modules to load. Default: all. Ignores names that the adapter does not have. */
  readonly modules?: Iterable<string> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Current state of a pool. */
export interface PoolStatistics extends Readonly<Counters> {
  readonly budgetBytes: number;
  readonly usedBytes: number;
  readonly packedBytes: number;
  /** Bytes of the random numbers behind A', for adapters in memory with a start (spec clause 8.8); equal starts count once. */
  readonly startBytes: number;
  readonly decodedBytes: number;
  /** Number of known names; `resident`: those in memory; `contents`: different contents behind these. */
  readonly adapters: number;
  readonly resident: number;
  readonly contents: number;
  readonly pinned: number;
  readonly leases: number;
}
