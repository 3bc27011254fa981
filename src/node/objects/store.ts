/**
 * Object storage as this library uses it: objects by key.
 *
 * It relies on two properties: an object exists whole or not at all, and a conditional put never replaces anything.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ByteSource } from "../../io/source.ts";
import type { ObjectReader } from "../../serve/stores.ts";

/** The entry of an object in a listing. */
export interface ObjectInfo {
  /** Key below the location of the store, with `/` between its parts. */
  readonly key: string;
  /** Size in bytes. */
  readonly size: number;
  /** Entity tag; changes when the object does. */
  readonly version: string;
}

/**
 * Objects below one location, read-only. All methods throw LqaError: NETWORK, ACCESS_DENIED,
 * NOT_FOUND (no such bucket), IO, ABORTED.
 */
export interface ReadableStore extends ObjectReader {
  /** The location as the caller wrote it: `s3://bucket/prefix`. */
  readonly location: string;
  /** All objects whose key begins with `prefix` and comes after `after`, in order. Memory holds one page of them. */
  list(options?: {
    readonly prefix?: string;
    readonly after?: string | undefined;
    readonly signal?: AbortSignal | undefined;
  }): AsyncIterable<ObjectInfo>;
  /** Undefined if the object does not exist. */
  head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined>;
  /**
   * Reads bytes of an object, or fewer if it ends before them; undefined if the object does not exist.
   *
   * @param range `version`: reads only this version
   * @throws LqaError REMOTE_CHANGED if the object has another version by now
   */
  read(
    key: string,
    range: { readonly offset: number; readonly length: number; readonly version?: string | undefined },
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

/** Objects below one location, readable and writable. Methods throw as those of {@link ReadableStore}. */
export interface ObjectStore extends ReadableStore {
  /**
   * Stores an object, whole or not at all.
   *
   * @param options `replace` false: stores only if the key has no object; the storage decides
   * @returns `exists` if there was an object, which stays
   */
  put(key: string, bytes: Uint8Array, options: PutOptions): Promise<"written" | "exists">;
}

/** How to store an object. */
export interface PutOptions {
  readonly replace: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Number of bytes per request for an object. */
export const STEP: number = 8 * 2 ** 20;

/** An object as a source of ranges, pinned to the listed version. */
export function objectSource(store: ReadableStore, { key, size, version }: ObjectInfo): ByteSource {
  return {
    size,
    async read(offset, length, signal) {
      const there = Math.min(length, Math.max(0, size - offset));
      if (there === 0) return new Uint8Array(0);
      const bytes = await store.read(key, { offset, length: there, version }, signal);
      return (
        bytes ?? fail(KIND.NOT_FOUND, { where: objectPlace(store, key), actual: "no such object any more" })
      );
    },
  };
}

/** The name of an object in errors. */
export function objectPlace({ location }: Pick<ReadableStore, "location">, key: string): string {
  return `${location.replace(/\/+$/, "")}/${key}`;
}
