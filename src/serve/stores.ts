/**
 * Sources of a pool's adapters: anything that opens a byte source by name. This file has the web, object stores and
 * memory; a directory needs Node (`directory-store.ts`).
 *
 * @module
 */

import { type ByteSource, type HttpOptions, httpSource, memorySource } from "../core/index.ts";
import { FIRST_BYTES, keepingSource } from "../core/reading.ts";
import * as KIND from "../error-catalogue.ts";
import { assertNotAborted, fail } from "../errors.ts";
import { assertRange } from "../io/source.ts";

/** An adapter's file, open for reading. */
export interface StoredAdapter {
  readonly source: ByteSource;
  /** Hexadecimal file id that the file must have, if the store knows it from a trusted source. */
  readonly fileId?: string | undefined;
  /** Called when nothing more will be read. */
  close?(): Promise<void>;
}

/** Adapters by name. */
export interface AdapterStore {
  /** @throws LqaError NOT_FOUND if the name does not exist (the pool converts it to UNKNOWN_ADAPTER), or as the source */
  open(name: string, signal?: AbortSignal): Promise<StoredAdapter>;
}

/** The methods that an object store needs: reading a range of an object. Errors that are not LqaErrors become IO. */
export interface ObjectReader {
  /**
   * Reads `length` bytes from `offset` on, or fewer if the object ends before them; `undefined` if the object does not
   * exist.
   *
   * @param range has the `version` that `head` returned, if there is a `head`. The method must fail for another version, as
   *   `If-Match` does
   */
  read(
    key: string,
    range: { readonly offset: number; readonly length: number; readonly version?: string | undefined },
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined>;
  /**
   * Size and version (an entity tag) of an object; `undefined` if it does not exist. With `head`, every range of an adapter is
   * from one version. Without it, an object that is overwritten while it is read may fail its checksums; versions never mix.
   */
  head?(
    key: string,
    signal?: AbortSignal,
  ): Promise<{ readonly size: number; readonly version: string } | undefined>;
}

/**
 * Adapters on a web server, read by ranges. The address of an adapter is `base`, its name and `.lqa`.
 *
 * @param base an address that ends with a slash. Names are escaped, so that none leads elsewhere.
 * @throws LqaError USAGE for an address that does not end with a slash, or is not http or https
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

/** Adapters in memory, by name: files from another cache, and for tests. */
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
 * @throws LqaError NOT_FOUND for other names, which no adapter can have
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
