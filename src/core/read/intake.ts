/**
 * Collects pieces of any size into the stretches that the read steps request.
 *
 * It holds one stretch and copies what it hands out, so nothing refers to the caller's pieces afterwards. Memory grows with
 * the bytes that have arrived, not with a declared length: a stretch above {@link FIRST_BYTES} doubles until it is whole.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";

/** Stretches up to this are allocated at once. Chunks of large adapters have 10 to 200 KiB. */
const FIRST_BYTES = 2 ** 20;

const NOTHING = new Uint8Array(0);

/** Pieces in, stretches out. */
export class Intake {
  #piece: Uint8Array = NOTHING;
  #at = 0;
  #buffer: Uint8Array | undefined;
  #filled = 0;
  #closed = false;
  /** Bytes that have arrived. */
  received = 0;

  /** Adds a piece. The one before it must have been used up: `take` has returned undefined. */
  feed(piece: Uint8Array): void {
    this.#piece = piece;
    this.#at = 0;
    this.received += piece.length;
  }

  /** Nothing comes any more: from now on `take` returns what there is. */
  close(): void {
    this.#closed = true;
  }

  /** Bytes held here, for a stretch that is not whole yet. */
  get held(): number {
    return this.#buffer?.length ?? 0;
  }

  /** The next `bytes` bytes, a copy; fewer at the end of the input; undefined if they have not arrived yet. */
  take(bytes: number): Uint8Array | undefined {
    const left = this.#piece.length - this.#at;
    if (this.#buffer === undefined && (left >= bytes || this.#closed)) {
      const stretch = allocate(Math.min(left, bytes));
      this.#copy(stretch, 0);
      return stretch;
    }
    this.#grow(bytes, this.#filled + left);
    this.#filled += this.#copy(this.#buffer!, this.#filled);
    if (this.#filled < bytes && !this.#closed) return undefined;
    const stretch = this.#buffer!.subarray(0, this.#filled);
    this.#buffer = undefined;
    this.#filled = 0;
    return stretch;
  }

  /** Forgets everything. */
  release(): void {
    this.#piece = NOTHING;
    this.#at = 0;
    this.#buffer = undefined;
    this.#filled = 0;
  }

  /** Copies from the piece as much as there is and fits; returns how much that was. */
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
    const old = this.#buffer;
    if (old !== undefined && old.length >= room) return;
    const length = Math.min(bytes, Math.max(FIRST_BYTES, room, 2 * (old?.length ?? 0)));
    this.#buffer = old === undefined ? allocate(length) : enlarge(old, length);
  }
}

function allocate(length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    return fail(KIND.BUDGET, { where: "a chunk", actual: `${length} bytes to allocate`, cause });
  }
}

/** The same bytes in a larger array; in place where the engine can (Node ≥ 22, current browsers). */
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
