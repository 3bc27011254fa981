/**
 * Where the bytes come from: files of the visitor, in slices, or an address, in ranges. What is read is counted, and
 * the first 64 KiB are kept, in which most indexes lie.
 *
 * @module
 */

import type { SourceBytes } from "../../../../src/adapters/dialect.ts";
import { type ByteSource, blobSource, httpSource } from "../../../../src/core/index.ts";
import * as KIND from "../../../../src/error-catalogue.ts";
import { fail } from "../../../../src/errors.ts";
import type { Reading } from "../protocol.ts";

/** Bytes that are read first, and kept. */
const HEAD = 65536;

/** Bytes that are read at once where everything is read. */
const PIECE = 4 * 2 ** 20;

/** What was read. */
export class Meter {
  #bytes = 0;
  #largest = 0;
  #requests = 0;

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#largest = Math.max(this.#largest, bytes);
    this.#requests++;
  }

  get reading(): Reading {
    return { bytes: this.#bytes, largest: this.#largest, requests: this.#requests };
  }
}

/** A source whose reads are counted, and whose first bytes are read once. */
export function meteredSource(inner: ByteSource, meter: Meter): ByteSource {
  let head: Promise<Uint8Array> | undefined;
  const read = async (offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> => {
    const bytes = await inner.read(offset, length, signal);
    meter.add(bytes.length);
    return bytes;
  };
  return {
    get size() {
      return inner.size;
    },
    stable: inner.stable,
    async read(offset, length, signal) {
      if (offset + length > HEAD) return read(offset, length, signal);
      head ??= read(0, HEAD, signal);
      try {
        return (await head).subarray(offset, offset + length);
      } catch (error) {
        head = undefined;
        throw error;
      }
    },
  };
}

/** The file at an address. @throws LqaError as `httpSource` */
export function addressSource(url: string): ByteSource {
  return httpSource(url);
}

/** A file of the visitor. */
export function fileSource(file: File): ByteSource {
  return blobSource(file);
}

/** A file at an address whose bytes are read on demand, on this thread, one range at a time. */
export function lazyAddress(url: string, length: number, meter: Meter): SourceBytes {
  const where = url.replace(/[?#].*$/, "");
  return {
    length,
    subarray(begin, end) {
      const last = Math.min(end, length) - 1;
      if (last < begin) return new Uint8Array(0);
      const request = new XMLHttpRequest();
      request.open("GET", url, false);
      request.responseType = "arraybuffer";
      request.setRequestHeader("range", `bytes=${begin}-${last}`);
      try {
        request.send();
      } catch (cause) {
        return fail(KIND.NETWORK, { where, offset: begin, cause });
      }
      const bytes = new Uint8Array((request.response as ArrayBuffer | null) ?? new ArrayBuffer(0));
      if (request.status !== 206 || bytes.length !== last - begin + 1)
        fail(KIND.HTTP_RESPONSE, {
          where,
          offset: begin,
          expected: `status 206 and ${last - begin + 1} bytes`,
          actual: `status ${request.status} and ${bytes.length} bytes`,
        });
      meter.add(bytes.length);
      return bytes;
    },
  };
}

/** All bytes of a source, in pieces. @throws LqaError as the source */
export async function wholeSource(
  source: ByteSource,
  length: number,
  told: (done: number) => void,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const piece = await source.read(at, Math.min(PIECE, length - at));
    if (piece.length === 0)
      fail(KIND.IO, { where: "the file", offset: at, expected: `${length} bytes`, actual: at });
    bytes.set(piece, at);
    at += piece.length;
    told(at);
  }
  return bytes;
}

/** What workers have and the types of documents lack. */
declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

/** A file whose bytes are read on demand, on this thread: dialects request one tensor at a time. */
export function lazyFile(file: File, meter: Meter): SourceBytes {
  return {
    length: file.size,
    subarray(begin, end) {
      try {
        const buffer = new FileReaderSync().readAsArrayBuffer(file.slice(begin, end));
        meter.add(buffer.byteLength);
        return new Uint8Array(buffer);
      } catch (cause) {
        // The browser refuses a file that has changed since it was chosen.
        return fail(KIND.IO, { where: `file ${JSON.stringify(file.name)}`, offset: begin, cause });
      }
    },
  };
}
