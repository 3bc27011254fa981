/**
 * Where a fleet's adapters and results are: objects by key.
 *
 * This is all that the fleet asks of storage. What it relies on: an object is there whole or not at all, a conditional put
 * never replaces anything, keys are listed in the order of their UTF-8 bytes.
 *
 * @module
 */

import type { ByteSource } from "../core/io/source.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { ObjectReader } from "../serve/stores.ts";

/** The entry of an object in a listing. */
export interface ObjectInfo {
  /** Below the location of the store, with `/` between its parts. */
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Changes when the object does: an entity tag. */
  readonly version: string;
}

/**
 * Objects below one location, for reading: nothing here changes anything. All methods throw LqaError: NETWORK, ACCESS_DENIED,
 * NOT_FOUND (no such bucket), IO, ABORTED.
 */
export interface ReadableStore extends ObjectReader {
  /** As it was given: `s3://bucket/prefix`. */
  readonly location: string;
  /** All objects whose key begins with `prefix` and is behind `after`, in order; a page of them is in memory at a time. */
  list(options?: {
    readonly prefix?: string;
    readonly after?: string | undefined;
    readonly signal?: AbortSignal | undefined;
  }): AsyncIterable<ObjectInfo>;
  /** Undefined if there is none. */
  head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined>;
  /**
   * Bytes of an object; with `version`, of that version alone. Fewer where it ends before them.
   *
   * @throws LqaError REMOTE_CHANGED if it is another version by now
   */
  read(
    key: string,
    range: { readonly offset: number; readonly length: number; readonly version?: string | undefined },
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined>;
  /** Hexadecimal SHA-256 of what is stored: as the storage computed it, or of the bytes read back. Undefined if there is none. */
  digest(key: string, signal?: AbortSignal): Promise<string | undefined>;
  close(): Promise<void>;
}

/** Objects below one location, also for writing. Methods throw as those of {@link ReadableStore}. */
export interface ObjectStore extends ReadableStore {
  /**
   * Stores an object, whole or not at all.
   *
   * @param options.replace false: only if there is none of that key, decided by the storage
   * @returns `exists` if there was one and it stays
   */
  put(key: string, bytes: Uint8Array, options: PutOptions): Promise<"written" | "exists">;
  /** It is no error if there is none. */
  remove(key: string, signal?: AbortSignal): Promise<void>;
}

/** How to store an object. */
export interface PutOptions {
  readonly replace: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** What the fleet itself keeps is below this key of the target. */
export const OWN_PREFIX = ".lqa-fleet/";

/** Bytes of an object per request. */
export const STEP: number = 8 * 2 ** 20;

/** An object as a source of ranges, pinned to the version that was listed. */
export function objectSource(store: ReadableStore, { key, size, version }: ObjectInfo): ByteSource {
  return {
    size,
    async read(offset, length, signal) {
      const there = Math.min(length, Math.max(0, size - offset));
      if (there === 0) return new Uint8Array(0);
      const bytes = await store.read(key, { offset, length: there, version }, signal);
      return bytes ?? fail(KIND.NOT_FOUND, { where: placeOf(store, key), actual: "no such object any more" });
    },
  };
}

/** An object as errors name it. */
export function placeOf({ location }: Pick<ReadableStore, "location">, key: string): string {
  return `${location.replace(/\/+$/, "")}/${key}`;
}
