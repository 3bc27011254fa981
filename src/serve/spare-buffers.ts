/**
 * Memory of payloads that have left a pool, for those that come. New memory for each load makes the garbage collector run every few
 * loads and the system fault in its pages: together more CPU time than the load itself.
 *
 * @module
 */

import type { ByteSource } from "../core/index.ts";
import { FIRST_BYTES } from "../core/reading.ts";

/** A buffer serves for fewer bytes than it has if it exceeds them by at most this share. */
export const SURPLUS: number = 1 / 8;

/** Most bytes of spare buffers, whatever the budget. */
const MOST_BYTES = 2 ** 26;
/** Largest share of a budget that spare buffers take in addition. */
const SHARE = 1 / 16;

/** Buffers that nobody uses. */
export class SpareBuffers {
  readonly #spare: ArrayBuffer[] = [];
  /** The large buffers that it has made: a source may still use memory of its own, and small ones would be many. */
  readonly #made = new WeakSet<ArrayBufferLike>();
  readonly #most: number;
  #bytes = 0;

  /** @param budget bytes of the pool */
  constructor(budget: number) {
    this.#most = Math.min(MOST_BYTES, SHARE * budget);
  }

  /** Bytes of all of them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A buffer with at least so many bytes, which may have any value. @throws RangeError if the engine has no such memory */
  take(bytes: number): ArrayBuffer {
    const at = this.#spare.findIndex(
      ({ byteLength }) => byteLength >= bytes && byteLength <= (1 + SURPLUS) * bytes,
    );
    if (at < 0) {
      const made = new ArrayBuffer(bytes);
      if (bytes > FIRST_BYTES) this.#made.add(made);
      return made;
    }
    const [found] = this.#spare.splice(at, 1);
    this.#bytes -= found!.byteLength;
    return found!;
  }

  /**
   * Takes a buffer of {@link take} back, which nobody uses or writes to any more. Ignores others, and those of up to 64 KiB. The oldest
   * ones are freed first.
   */
  give(buffer: ArrayBufferLike): void {
    if (!(buffer instanceof ArrayBuffer && this.#made.has(buffer))) return;
    this.#spare.push(buffer);
    this.#bytes += buffer.byteLength;
    while (this.#bytes > this.#most) this.#bytes -= this.#spare.shift()!.byteLength;
  }
}

/** A source whose large reads fill spare buffers, if it can read into memory that it is given. */
export function readingInto(source: ByteSource, spare: SpareBuffers): ByteSource {
  const { readInto } = source;
  if (readInto === undefined) return source;
  return {
    size: source.size,
    stable: source.stable,
    fresh: true,
    async read(offset, length, signal) {
      const there = Math.min(length, Math.max(0, (source.size ?? Number.POSITIVE_INFINITY) - offset));
      if (!(there > FIRST_BYTES)) return source.read(offset, length, signal);
      const target = new Uint8Array(spare.take(there), 0, there);
      // A buffer is lost if the read fails: it may still be written to.
      const filled = await readInto.call(source, target, offset, signal);
      return target.subarray(0, filled);
    },
  };
}
