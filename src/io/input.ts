/**
 * The inputs that a file can be read from, by kind: the whole file in memory, ranges, or pieces as they arrive.
 *
 * @module
 */
import type { Pieces } from "./pieces.ts";
import { type ByteSource, blobSource, bytesOf, isOfClass } from "./source.ts";

/** Anything with a length and ranges, such as hyparquet's `AsyncBuffer`. */
export interface AsyncBuffer {
  readonly byteLength: number;
  slice(start: number, end?: number): ArrayBuffer | Promise<ArrayBuffer>;
}

/**
 * Bytes in memory, a `Blob` or `File`, the `URL` of a file on a server that answers range requests, any source of ranges, or a
 * stream of bytes.
 */
export type Input = Uint8Array | ArrayBuffer | Blob | URL | ByteSource | AsyncBuffer | Pieces;

/** An input by its kind. */
export type OpenInput =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "source"; readonly source: ByteSource }
  | { readonly kind: "url"; readonly url: URL }
  | { readonly kind: "pieces"; readonly pieces: Pieces };

/**
 * Determines the kind of an input. It reads nothing.
 *
 * @throws TypeError for any other value
 */
export function openInput(input: Input): OpenInput {
  const bytes = bytesOf(input);
  if (bytes !== undefined) return { kind: "bytes", bytes };
  if (isOfClass(input, "URL")) return { kind: "url", url: input as URL };
  if (typeof input === "object" && input !== null) {
    if ("arrayBuffer" in input && "slice" in input) return { kind: "source", source: blobSource(input) };
    if ("getReader" in input || Symbol.asyncIterator in input || Symbol.iterator in input)
      return { kind: "pieces", pieces: input as Pieces };
    if ("read" in input) return { kind: "source", source: input };
    if ("byteLength" in input && "slice" in input) return { kind: "source", source: rangesOf(input) };
  }
  throw new TypeError(
    "expected a Uint8Array, a Blob, a URL, ranges with slice(start, end), or a stream of bytes; to open a file path, use lqa/node",
  );
}

function rangesOf(buffer: AsyncBuffer): ByteSource {
  return {
    size: buffer.byteLength,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      const end = Math.min(offset + length, buffer.byteLength);
      return offset >= end ? new Uint8Array(0) : new Uint8Array(await buffer.slice(offset, end));
    },
  };
}
