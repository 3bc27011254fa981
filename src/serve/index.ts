/**
 * Keeps many adapters packed in memory, and applies them without decoding.
 *
 * @module
 */

export type { ResidentModule, ResidentStart } from "../core/format.ts";
export type { Activations, RowList } from "./activations.ts";
export { type ApplyOptions, applyPacked } from "./apply.ts";
export { applyBatch, type BatchResult } from "./batch.ts";
export { AdapterLease } from "./lease.ts";
export { AdapterPool } from "./pool.ts";
export type { AcquireOptions, AdapterSource, PoolOptions, PoolStatistics } from "./pool-options.ts";
export type { CachedDecoding, Counters } from "./resident.ts";
export { residentModule } from "./resident-module.ts";
export {
  type AdapterStore,
  httpStore,
  memoryStore,
  type ObjectReader,
  objectStore,
  type StoredAdapter,
} from "./stores.ts";
