/**
 * The next bytes of a file, in order: the one place where the steps of `header.ts` and `verify.ts` get them, whether they are in
 * memory, are pushed as they arrive (`engine.ts`), or are read from a source when a step needs them.
 *
 * A feed holds the current piece, and one stretch that is not whole yet. Its memory grows with the bytes that have arrived, not
 * with a declared length: the buffer of a stretch above {@link FIRST_STRETCH} doubles until it is whole.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";

/** How a feed gets its bytes. */
export interface FeedOptions {
  /** Copies every stretch, for pieces whose memory the caller uses again. Otherwise a stretch inside one piece is a view. */
  readonly copies?: boolean;
  /** Whether the stretch that is about to be returned is needed until the next one only: then its buffer is used again. */
  readonly passing?: () => boolean;
  /**
   * Returns the next piece for {@link Feed.next}, or undefined at the end.
   *
   * @param missing bytes that the stretch still needs; a piece may have more or fewer
   */
  readonly more?: (missing: number) => Promise<Uint8Array | undefined>;
}

/** Stretches up to this length are allocated at once. Chunks of large adapters have 10 to 200 KiB. */
const FIRST_STRETCH = 2 ** 20;

const NOTHING = new Uint8Array(0);

/** Takes pieces of any size and returns stretches of the lengths that the caller requests. */
export class Feed {
  readonly #copies: boolean;
  readonly #more: FeedOptions["more"];
  readonly #passing: FeedOptions["passing"];
  #piece: Uint8Array = NOTHING;
  #at = 0;
  #buffer: Uint8Array | undefined;
  /** The buffer of an earlier stretch, to be used again. */
  #spare: Uint8Array | undefined;
  #filled = 0;
  #closed = false;
  /** Bytes that have arrived. */
  received = 0;
  /** Bytes returned so far. */
  taken = 0;

  constructor({ copies = false, more, passing }: FeedOptions = {}) {
    this.#passing = passing;
    this.#copies = copies;
    this.#more = more;
  }

  /** Adds a piece. Call it only after `take` has returned undefined, so that the piece before is used up. */
  push(piece: Uint8Array): void {
    this.#piece = piece;
    this.#at = 0;
    this.received += piece.length;
  }

  /** Reports the end of the input: from now on `take` returns the bytes that are left. */
  close(): void {
    this.#closed = true;
  }

  /** Bytes of the buffer for a stretch that is not whole yet. */
  get held(): number {
    return this.#buffer?.length ?? 0;
  }

  /**
   * The next `count` bytes; fewer at the end of the input; undefined if they have not arrived yet.
   *
   * @throws LqaError BUDGET if the engine has no memory for them
   */
  take(count: number): Uint8Array | undefined {
    const stretch = this.#whole(count) ?? this.#gathered(count);
    this.taken += stretch?.length ?? 0;
    return stretch;
  }

  /** As `take`, and reads more pieces until the bytes have arrived. @throws as `take`, and as the option `more` */
  next(count: number): Uint8Array | Promise<Uint8Array> {
    return this.take(count) ?? this.#pull(count);
  }

  /** Forgets everything. */
  release(): void {
    this.#piece = NOTHING;
    this.#at = 0;
    this.#buffer = undefined;
    this.#spare = undefined;
    this.#filled = 0;
  }

  async #pull(count: number): Promise<Uint8Array> {
    for (;;) {
      const piece = await this.#more?.(count - this.#filled);
      if (piece === undefined) this.close();
      else this.push(piece);
      const stretch = this.take(count);
      if (stretch !== undefined) return stretch;
    }
  }

  /** A stretch that the current piece holds; undefined for one that began in an earlier piece. */
  #whole(count: number): Uint8Array | undefined {
    const left = this.#piece.length - this.#at;
    if (this.#buffer !== undefined || (left < count && !this.#closed)) return undefined;
    if (!this.#copies) {
      const from = this.#at;
      this.#at += Math.min(left, count);
      return this.#piece.subarray(from, this.#at);
    }
    const stretch = allocate(Math.min(left, count));
    this.#copy(stretch, 0);
    return stretch;
  }

  /** Adds the rest of the piece to the buffer; the stretch if it is whole now, or ends with the input. */
  #gathered(count: number): Uint8Array | undefined {
    this.#grow(count, this.#filled + this.#piece.length - this.#at);
    this.#filled += this.#copy(this.#buffer!.subarray(0, count), this.#filled);
    if (this.#filled < count && !this.#closed) return undefined;
    const stretch = this.#buffer!.subarray(0, this.#filled);
    if (this.#passing?.() === true) this.#spare = this.#buffer;
    this.#buffer = undefined;
    this.#filled = 0;
    return stretch;
  }

  /** Copies as many bytes of the piece as fit, and returns their number. */
  #copy(target: Uint8Array, at: number): number {
    const length = Math.min(this.#piece.length - this.#at, target.length - at);
    target.set(this.#piece.subarray(this.#at, this.#at + length), at);
    this.#at += length;
    if (this.#at === this.#piece.length) {
      this.#piece = NOTHING;
      this.#at = 0;
    }
    return length;
  }

  /** Makes room for `wanted` bytes of a stretch that will have `bytes`. */
  #grow(bytes: number, wanted: number): void {
    const room = Math.min(bytes, wanted);
    const old = this.#buffer ?? this.#spare;
    this.#buffer = old;
    this.#spare = undefined;
    if (old !== undefined && old.length >= room) return;
    const length = Math.min(bytes, Math.max(FIRST_STRETCH, room, 2 * (old?.length ?? 0)));
    this.#buffer = old === undefined ? allocate(length) : enlarge(old, length);
  }
}

/** A feed over bytes in memory; its stretches are views. @param from position of its first byte */
export function feedOf(bytes: Uint8Array, from = 0): Feed {
  const feed = new Feed();
  feed.push(bytes.subarray(from));
  feed.close();
  return feed;
}

function allocate(length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    return fail(KIND.BUDGET, { where: "a chunk", actual: `${length} bytes to allocate`, cause });
  }
}

/** The same bytes in a larger array; in place if the engine can do that (Node ≥ 22, current browsers). */
function enlarge(old: Uint8Array, length: number): Uint8Array {
  const { buffer } = old as { buffer: ArrayBuffer & { transfer?(length: number): ArrayBuffer } };
  try {
    if (buffer.transfer !== undefined) return new Uint8Array(buffer.transfer(length));
  } catch (cause) {
    return fail(KIND.BUDGET, { where: "a chunk", actual: `${length} bytes to allocate`, cause });
  }
  const larger = allocate(length);
  larger.set(old);
  return larger;
}
