/**
 * Reads a source stretch by stretch into reused memory, and reads the next stretch while the caller checks the previous one. It
 * holds {@link WINDOW} bytes, or the largest requested stretch that has arrived: memory grows with the bytes that exist, not
 * with a declared length.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type Pieces, piecesOf } from "../io/pieces.ts";
import { type ByteSource, eitherSignal } from "../io/source.ts";

/** Supplies the bytes of a file to a validator, once, from the first to the last. */
export interface ByteReader {
  /** Fills the beginning of `target` with the next bytes. Resolves to their number; 0 means the end. */
  read(target: Uint8Array): Promise<number>;
  /** Number of bytes, if it is known. */
  readonly size?: number | undefined;
  /** Ends the reader, and aborts a read under way. */
  cancel?(): void;
}

/** A reader over pieces that arrive: a web stream, a Node stream, an array of arrays. */
export function piecesReader(source: Pieces, signal?: AbortSignal): ByteReader {
  const control = new AbortController();
  const pieces = piecesOf(source, eitherSignal(signal, control.signal));
  let piece: Uint8Array = new Uint8Array(0);
  return {
    async read(target) {
      while (piece.length === 0) {
        const next = await pieces.next();
        if (next.done === true) return 0;
        piece = next.value;
      }
      const count = Math.min(piece.length, target.length);
      target.set(piece.subarray(0, count));
      piece = piece.subarray(count);
      return count;
    },
    cancel() {
      // The signal reaches a source that hangs; `return` reaches one that has just yielded a piece.
      control.abort();
      pieces.return().catch(() => {});
    },
  };
}

/** A reader over a source of ranges: a file on a server, a Blob. */
export function sourceReader(source: ByteSource, signal?: AbortSignal): ByteReader {
  const control = new AbortController();
  const either = eitherSignal(signal, control.signal);
  let at = 0;
  return {
    get size() {
      return source.size;
    },
    async read(target) {
      const piece = await source.read(at, target.length, either);
      target.set(piece);
      at += piece.length;
      return piece.length;
    },
    cancel: () => control.abort(),
  };
}

/** Reads only the requested bytes, without read-ahead: for levels that need only the first bytes of a source. */
export class DirectWindow {
  readonly #source: ByteSource;
  readonly #signal: AbortSignal | undefined;
  /** Bytes returned so far. */
  taken = 0;

  constructor(source: ByteSource, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#signal = signal;
  }

  /** The next `count` bytes, fewer only at the end. @throws as the source */
  async take(count: number): Promise<Uint8Array> {
    const bytes = await this.#source.read(this.taken, count, this.#signal);
    this.taken += bytes.length;
    return bytes;
  }
}

/** Bytes to read ahead: four scanned pieces, so that the next ones arrive during the check of one. */
const WINDOW = 4 * 2 ** 20;
/** Least free room at the end of the buffer for a read; with less, its contents move to the front first. */
const WORTHWHILE = 2 ** 18;

type Filling = Promise<{ readonly count: number } | { readonly error: unknown }>;

/** A window over a reader, with read-ahead. */
export class Window {
  readonly #reader: ByteReader;
  #buffer = new Uint8Array(WINDOW);
  #start = 0;
  #end = 0;
  #filling: Filling | undefined;
  #ended = false;
  /** Bytes returned so far. */
  taken = 0;

  constructor(reader: ByteReader) {
    this.#reader = reader;
  }

  /**
   * The next `count` bytes, fewer only at the end: a view that is valid until the next call.
   *
   * @throws LqaError BUDGET if the engine has no memory for them; and as the reader
   */
  async take(count: number): Promise<Uint8Array> {
    while (this.#end - this.#start < count && !this.#ended) {
      if (this.#filling === undefined) {
        this.#makeRoom(count);
        this.#fill();
      }
      await this.#settle();
    }
    const from = this.#start;
    this.#start = Math.min(this.#end, from + count);
    this.taken += this.#start - from;
    // The next bytes may arrive behind the returned ones during their check.
    if (this.#filling === undefined && this.#buffer.length - this.#end >= WORTHWHILE) this.#fill();
    return this.#buffer.subarray(from, this.#start);
  }

  #fill(): void {
    if (this.#ended) return;
    this.#filling = this.#reader.read(this.#buffer.subarray(this.#end)).then(
      (count) => ({ count }),
      (error: unknown) => ({ error }),
    );
  }

  async #settle(): Promise<void> {
    const result = await this.#filling!;
    this.#filling = undefined;
    if ("error" in result) throw result.error;
    if (result.count === 0) this.#ended = true;
    this.#end += result.count;
  }

  /** Moves the rest of the bytes to the front; if they fill the buffer, doubles it, up to `count`. */
  #makeRoom(count: number): void {
    const held = this.#end - this.#start;
    if (held === this.#buffer.length) {
      const larger = allocate(Math.min(count, 2 * this.#buffer.length));
      larger.set(this.#buffer);
      this.#buffer = larger;
    } else if (this.#start > 0) this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#start = 0;
    this.#end = held;
  }
}

function allocate(length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    return fail(KIND.BUDGET, { where: "a chunk", actual: `${length} bytes to allocate`, cause });
  }
}

/** Returns the requested bytes from memory, as views. */
export class MemoryWindow {
  readonly #bytes: Uint8Array;
  taken = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(count: number): Uint8Array {
    const piece = this.#bytes.subarray(this.taken, this.taken + count);
    this.taken += piece.length;
    return piece;
  }
}
