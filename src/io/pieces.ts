/**
 * Bytes that arrive in pieces: one way to read a web stream (`fetch().body`), a Blob, a Node stream (a file, standard input)
 * and any other iterable.
 *
 * The reader requests the next piece only after the consumer has processed the previous one, so the producer gets
 * back-pressure. It cancels the source if reading ends early: after an error, an abort, or when the consumer stops.
 *
 * @module
 */

import { unlessAborted } from "../common/slots.ts";
import * as KIND from "../error-catalogue.ts";
import { assertNotAborted, fail, isLqaError } from "../errors.ts";
import { assertRange, type ByteSource, isBytes } from "./source.ts";

/** Something that yields bytes. */
export type Pieces = ReadableStream<Uint8Array> | Blob | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

interface Reader {
  next(): Promise<IteratorResult<unknown, unknown>>;
  /** Cancels the source. */
  cancel(reason: unknown): Promise<unknown>;
}

/**
 * The pieces of `source`, one at a time.
 *
 * @throws LqaError ABORTED, at once even if the source no longer answers; IO with the cause if the source fails
 * @throws TypeError for a piece that is not a Uint8Array (as of a text stream), and for a source that yields no pieces
 */
export async function* piecesOf(
  source: Pieces,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  assertNotAborted(signal);
  const reader = readerOf(source);
  let ended = false;
  let reason: unknown;
  try {
    for (;;) {
      const { done, value } = await nextOf(reader, signal);
      if (done === true) {
        ended = true;
        return;
      }
      if (!isBytes(value)) throw new TypeError(`a piece is ${typeof value}, not a Uint8Array`);
      yield value;
      assertNotAborted(signal);
    }
  } catch (error) {
    reason = error;
    if (isLqaError(error) || error instanceof PieceError === false) throw error;
    return fail(KIND.IO, { where: "the input stream", cause: error.cause });
  } finally {
    // Without `await`: a source that hangs must not keep its reader from ending.
    if (!ended) reader.cancel(reason).catch(() => {});
  }
}

/**
 * A stream as a source of ranges. It keeps all bytes that have arrived, so that they can be read again. Reads take turns.
 *
 * Reads throw LqaError and TypeError as {@link piecesOf}, and BUDGET for a stream that is longer than the budget.
 *
 * @param budgetBytes most bytes to keep
 */
export function piecesSource(source: Pieces, budgetBytes: number, signal?: AbortSignal): ByteSource {
  const pieces = piecesOf(source, signal);
  let kept = new Uint8Array(0);
  let filled = 0;
  let ended = false;
  const fill = async (end: number): Promise<void> => {
    while (filled < end && !ended) {
      const { done, value } = await pieces.next();
      if (done === true) ended = true;
      else add(value);
    }
  };
  const add = (piece: Uint8Array): void => {
    const length = filled + piece.length;
    if (length > budgetBytes) {
      pieces.return().catch(() => {});
      fail(KIND.BUDGET, {
        where: "the input stream",
        expected: `at most ${budgetBytes} bytes`,
        actual: "more",
        advice: "Decode it while it arrives, with `decodeStream`, or allow more bytes.",
      });
    }
    if (length > kept.length) {
      // Views from earlier reads keep the old memory.
      const larger = new Uint8Array(Math.min(budgetBytes, Math.max(length, 2 * kept.length, FIRST_KEPT)));
      larger.set(kept.subarray(0, filled));
      kept = larger;
    }
    kept.set(piece, filled);
    filled = length;
  };
  let turn: Promise<void> = Promise.resolve();
  return {
    stable: true,
    get size() {
      return ended ? filled : undefined;
    },
    async read(offset, length, aborted) {
      assertRange(offset, length);
      turn = turn.then(() => fill(offset + length));
      await unlessAborted(turn, aborted);
      return kept.subarray(Math.min(offset, filled), Math.min(offset + length, filled));
    },
  };
}

/** Bytes of memory for the first pieces of a stream. */
const FIRST_KEPT = 65536;

/** Wraps an error of the source, to distinguish it from an error of the consumer. */
class PieceError extends Error {}

function readerOf(source: Pieces): Reader {
  if ("stream" in source) return readerOf(source.stream());
  if ("getReader" in source) {
    // Not `for await`: Safari's streams are not async iterable.
    const reader = source.getReader();
    return { next: () => reader.read(), cancel: (reason) => reader.cancel(reason) };
  }
  if (!(Symbol.asyncIterator in source || Symbol.iterator in source))
    throw new TypeError(
      "expected a stream, a Blob or an iterable of Uint8Array; of a response, give its body",
    );
  const iterator =
    Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  return {
    next: async () => iterator.next(),
    // `return` of a Node stream's iterator waits for the next piece, which may never come.
    cancel: async () =>
      "destroy" in source && typeof source.destroy === "function" ? source.destroy() : iterator.return?.(),
  };
}

/** The next piece, or ABORTED as soon as `signal` is aborted. */
function nextOf(reader: Reader, signal: AbortSignal | undefined): ReturnType<Reader["next"]> {
  const next = reader.next().catch((cause: unknown) => {
    // A source that obeys the same signal rejects because of it.
    assertNotAborted(signal);
    throw isLqaError(cause) ? cause : new PieceError("the source failed", { cause });
  });
  return unlessAborted(next, signal);
}
