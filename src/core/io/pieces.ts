/**
 * Bytes that arrive in pieces: one way to read a web stream (`fetch().body`), a Blob, a Node stream (a file,
 * standard input) and any other iterable.
 *
 * A piece is asked for when the one before it is done with, so whoever produces them feels the back-pressure; the source
 * is cancelled when the reading ends early, for an error, an abort, or because nobody wants more.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError } from "../../errors.ts";
import { unlessAborted } from "./slots.ts";
import { assertNotAborted } from "./source.ts";

/** Something that yields bytes. */
export type Pieces = ReadableStream<Uint8Array> | Blob | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

interface Reader {
  next(): Promise<IteratorResult<unknown, unknown>>;
  /** Tells the source that no more is wanted. */
  cancel(reason: unknown): Promise<unknown>;
}

/**
 * The pieces of `source`, one at a time.
 *
 * @throws LqaError ABORTED, at once even if the source does not answer any more; IO with the cause if the source fails;
 *   TypeError for a piece that is not a Uint8Array (a text stream, for one), and for what yields no pieces
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
    // Not waited for: a source that hangs must not keep its reader from ending.
    if (!ended) reader.cancel(reason).catch(() => {});
  }
}

/** True for a Uint8Array of any realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === "[object Uint8Array]";
}

/** What the source threw, to tell it from what the reader of the pieces threw. */
class PieceError extends Error {}

function readerOf(source: Pieces): Reader {
  if ("stream" in source) return readerOf(source.stream());
  if ("getReader" in source) {
    // Not `for await`: Safari's streams are no async iterables.
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
    // A source that obeys the same signal rejects for that reason.
    assertNotAborted(signal);
    throw isLqaError(cause) ? cause : new PieceError("the source failed", { cause });
  });
  return unlessAborted(next, signal);
}
