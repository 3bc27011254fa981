/**
 * The inputs that a file can be read from, by kind: the whole file in memory, ranges, or pieces as they arrive.
 *
 * @module
 */
import type { Pieces } from "./pieces.ts";
import { type ByteSource, blobSource, isBytes } from "./source.ts";

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
  | { readonly kind: "pieces"; readonly pieces: Pieces };

/**
 * Determines the kind of an input. It reads nothing, and imports the HTTP source only for a URL.
 *
 * @throws TypeError for any other value; LqaError USAGE for a URL that is not http or https, or that holds a password
 */
export async function openInput(input: Input): Promise<OpenInput> {
  if (isBytes(input)) return { kind: "bytes", bytes: input };
  if (isOfClass(input, "ArrayBuffer")) return { kind: "bytes", bytes: new Uint8Array(input as ArrayBuffer) };
  if (isOfClass(input, "URL")) {
    const { httpSource } = await import("./http.ts");
    return { kind: "source", source: httpSource(input as URL) };
  }
  if (typeof input === "object" && input !== null) {
    if ("arrayBuffer" in input && "slice" in input) return { kind: "source", source: blobSource(input) };
    if ("getReader" in input || Symbol.asyncIterator in input || Symbol.iterator in input)
      return { kind: "pieces", pieces: input };
    if ("read" in input) return { kind: "source", source: input };
    if ("byteLength" in input && "slice" in input) return { kind: "source", source: rangesOf(input) };
  }
  throw new TypeError(
    "expected a Uint8Array, a Blob, a URL, ranges with slice(start, end), or a stream of bytes; of a path, see lqa/node",
  );
}

/** True for an object of a built-in class, of any realm. */
const isOfClass = (value: unknown, name: string): boolean =>
  Object.prototype.toString.call(value) === `[object ${name}]`;

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
