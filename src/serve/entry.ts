/**
 * The entries of a pool: its adapters by name.
 *
 * @module
 */

import { Slots } from "../common/slots.ts";
import { memorySource } from "../core/index.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError, LqaError } from "../errors.ts";
import type { AdapterSource } from "./pool-options.ts";
import type { Owner } from "./resident.ts";
import type { StoredAdapter } from "./stores.ts";

/** A name in a pool, for one version of its adapter. */
export interface Entry extends Owner {
  readonly open: (signal?: AbortSignal) => Promise<StoredAdapter>;
  /** Loaded from the store without `add`, so it may be forgotten if loading fails. */
  readonly fromStore: boolean;
  /** One slot: loads of one adapter run one after another, so that nothing is loaded twice. */
  readonly lock: Slots;
  leases: number;
  removed: boolean;
}

/** Makes an entry. */
export function entryOf(name: string, source: AdapterSource, pinned: boolean): Entry {
  const open =
    typeof source === "function"
      ? source
      : async () => ({ source: source instanceof Uint8Array ? memorySource(source) : source });
  return {
    name,
    open,
    reloadable: !(source instanceof Uint8Array),
    fromStore: false,
    lock: new Slots(1),
    pinned,
    leases: 0,
    removed: false,
    resident: undefined,
  };
}

/** @throws LqaError UNKNOWN_ADAPTER */
export function unknown(name: string): never {
  return fail(KIND.UNKNOWN_ADAPTER, { where: `adapter ${JSON.stringify(name.slice(0, 200))}` });
}

/** Converts an error for the caller: errors that are not this library's, which a store may throw, become IO. */
export function told(error: unknown, name: string): unknown {
  if (isLqaError(error)) return error;
  return new LqaError(KIND.IO, { where: `adapter "${name}"`, cause: error });
}
