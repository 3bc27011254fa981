/**
 * Where a pool gets its adapters from: anything that opens a byte source by name. Here are the web, object stores and
 * memory; a directory needs Node (`directory-store.ts`).
 *
 * @module
 */

import { type HttpOptions, httpSource } from "../core/io/http.ts";
import { assertNotAborted, assertRange, type ByteSource, memorySource } from "../core/io/source.ts";
import { FIRST_BYTES, keepingSource } from "../core/read/ranges.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";

/** An adapter's file, open for reading. */
export interface StoredAdapter {
  readonly source: ByteSource;
  /** The file id that the file must have, hexadecimal, where the store knows it from a place you trust. */
  readonly fileId?: string | undefined;
  /** Called when nothing more will be read. */
  close?(): Promise<void>;
}

/** Adapters by name. */
export interface AdapterStore {
  /** @throws LqaError NOT_FOUND if there is none of that name (the pool turns it into UNKNOWN_ADAPTER), or as the source */
  open(name: string, signal?: AbortSignal): Promise<StoredAdapter>;
}

/** What is needed of an object store: reading a range of an object. What its methods throw and is no LqaError becomes IO. */
export interface ObjectReader {
  /**
   * Resolves to the bytes from `offset` on, `length` or fewer where the object ends; to `undefined` if there is no such
   * object.
   *
   * @param range with the `version` that `head` gave, if there is `head`: another version is to be an error, as
   *   `If-Match` makes it
   */
  read(
    key: string,
    range: { readonly offset: number; readonly length: number; readonly version?: string | undefined },
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined>;
  /**
   * Size and version (an entity tag) of an object; `undefined` if there is none. With it every range of an adapter comes from
   * one version. Without it an object that is overwritten while it is read may fail its checksums, and is never mixed.
   */
  head?(
    key: string,
    signal?: AbortSignal,
  ): Promise<{ readonly size: number; readonly version: string } | undefined>;
}

/**
 * Adapters on a web server: the file of an adapter is `base` followed by its name and `.lqa`, read by ranges.
 *
 * @param base an address that ends with a slash. Names are escaped, so that none leads elsewhere.
 * @throws LqaError USAGE for an address that does not end so, or is not http or https
 */
export function httpStore(base: string | URL, options: HttpOptions = {}): AdapterStore {
  const root = String(base);
  if (!root.endsWith("/"))
    fail(KIND.USAGE, { where: "address of adapters", expected: "a slash at its end", actual: root });
  httpSource(root, options);
  return {
    async open(name, signal) {
      const source = httpSource(`${root}${encodeURIComponent(safeName(name))}.lqa`, options);
      return { source: await begun(source, signal) };
    },
  };
}

/** Adapters in an object store: the key of an adapter is `prefix`, its name and `.lqa`. */
export function objectStore(reader: ObjectReader, prefix = ""): AdapterStore {
  return {
    async open(name, signal) {
      const key = `${prefix}${safeName(name)}.lqa`;
      const found = await reader.head?.(key, signal);
      assertNotAborted(signal);
      if (reader.head !== undefined && found === undefined) missing(key);
      const read = async (offset: number, length: number, aborted?: AbortSignal): Promise<Uint8Array> => {
        assertRange(offset, length);
        assertNotAborted(aborted);
        const bytes = await reader.read(key, { offset, length, version: found?.version }, aborted);
        assertNotAborted(aborted);
        return bytes === undefined ? missing(key) : bytes.subarray(0, length);
      };
      return { source: found === undefined ? await begun({ read }, signal) : within(found.size, read) };
    },
  };
}

type Read = (offset: number, length: number, signal?: AbortSignal) => Promise<Uint8Array>;

function missing(key: string): never {
  return fail(KIND.NOT_FOUND, { where: key, actual: "no such object" });
}

/** A source that never requests bytes beyond its end. */
function within(size: number, read: Read): ByteSource {
  return {
    size,
    async read(offset, length, signal) {
      assertRange(offset, length);
      const there = Math.min(length, Math.max(0, size - offset));
      return there === 0 ? new Uint8Array(0) : read(offset, there, signal);
    },
  };
}

/** A source whose first bytes were read to check that it exists; the header reader requests the same ones. */
async function begun(source: ByteSource, signal: AbortSignal | undefined): Promise<ByteSource> {
  const kept = keepingSource(source);
  kept.keep("head", 0, await source.read(0, FIRST_BYTES, signal));
  return kept;
}

/** Adapters in memory, by name: files of others' caches, and tests. */
export function memoryStore(files: ReadonlyMap<string, Uint8Array>): AdapterStore {
  return {
    async open(name) {
      const bytes =
        files.get(name) ?? fail(KIND.NOT_FOUND, { where: `adapter "${name}"`, actual: "no such file" });
      return { source: memorySource(bytes) };
    },
  };
}

/**
 * A name that is one step of a path: not empty, no slash or backslash, no control character, not `.` or `..`.
 *
 * @returns the name
 * @throws LqaError NOT_FOUND: nothing can be called so
 */
export function safeName(name: string): string {
  const plain = [...name].every((letter) => letter > "\u001f" && !"/\\\u007f".includes(letter));
  if (!plain || name === "" || name === "." || name === ".." || name.length > 512)
    fail(KIND.NOT_FOUND, {
      where: `adapter ${JSON.stringify(name.slice(0, 80))}`,
      expected: "a name of 1 to 512 characters without slashes and control characters",
    });
  return name;
}
