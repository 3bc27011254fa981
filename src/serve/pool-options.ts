/**
 * Options, requests and statistics of a pool.
 *
 * @module
 */
import type { ByteSource } from "../core/io/source.ts";
import type { TensorRole } from "../model/adapter.ts";
import type { Counters } from "./resident.ts";
import type { AdapterStore, StoredAdapter } from "./stores.ts";

/** How a pool works. */
export interface PoolOptions {
  /** Most bytes of packed adapters, their starts and decoded factors together. */
  readonly budgetBytes: number;
  /** Where adapters come from that have not been added. */
  readonly store?: AdapterStore | undefined;
  /**
   * Reads and proves the whole file before an adapter is used; adapters of equal content then share memory. Default true. If
   * false, only the requested modules are read, each checked by its CRC-32.
   */
  readonly verify?: boolean | undefined;
  /**
   * Names of adapters that others may be children of (spec clause 8.9), added or in the store. A child finds its parent by content id
   * among these and the adapters in memory; nothing else is fetched. A parent is read and proven whole, is in memory once for all of its
   * children, and stays as long as one of them does.
   */
  readonly parents?: readonly string[] | undefined;
  /** Without `verify`: adapters whose files say that they have one content share memory. Only for files of your own. */
  readonly trustStoredIds?: boolean | undefined;
  /**
   * Without `verify`: after the requested modules, the others are loaded too, and the file is closed. Default true. If false,
   * each adapter with missing modules keeps its file open.
   */
  readonly completeInBackground?: boolean | undefined;
  /**
   * Keeps planes in SharedArrayBuffers, so that `packed` of a lease can be posted to workers without a copy. Default false. In
   * browsers a page needs cross-origin isolation for it.
   */
  readonly shared?: boolean | undefined;
  /** Most adapters that are being loaded, and have their file open for that, at the same time. Default 32. */
  readonly concurrentLoads?: number | undefined;
  /** Roles of plain tensors that the host deals with, e.g. magnitudes of DoRA. Others are CANNOT_APPLY. Default none. */
  readonly hostTensors?: readonly TensorRole[] | undefined;
  /** Shapes of the base model's tensors by name: an adapter that does not fit is refused. See `checkBase`. */
  readonly base?: ReadonlyMap<string, readonly number[]> | undefined;
}

/** What an adapter is added from. Bytes are not kept, so an adapter that was added from bytes is never evicted. */
export type AdapterSource = Uint8Array | ByteSource | ((signal?: AbortSignal) => Promise<StoredAdapter>);

/** Options of a request for an adapter. */
export interface AcquireOptions {
  /** Modules that must be ready. Default: all. Names the adapter does not have are left out. */
  readonly modules?: Iterable<string> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Current state of a pool. */
export interface PoolStatistics extends Readonly<Counters> {
  readonly budgetBytes: number;
  readonly usedBytes: number;
  readonly packedBytes: number;
  /** Random numbers that A' began with, of adapters in memory with a start (spec clause 8.8): once for those of one start. */
  readonly startBytes: number;
  readonly decodedBytes: number;
  /** Names known, of which resident, and contents behind these. */
  readonly adapters: number;
  readonly resident: number;
  readonly contents: number;
  readonly pinned: number;
  readonly leases: number;
}
