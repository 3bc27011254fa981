/**
 * Streams: a file as an async iterator of its events or its decoded modules, or as a `TransformStream` to pipe through.
 * What is checked and promised is in `push.ts`.
 *
 * Back-pressure goes all the way: the next piece is asked for when the last event has been taken.
 *
 * @module
 */

import type { ModuleRecord } from "../container/types.ts";
import { type Pieces, piecesOf } from "../io/pieces.ts";
import type { DecodedFactors, DecodeOptions } from "./decode.ts";
import { Engine, type StreamOptions } from "./engine.ts";
import type { HeaderEvent, LqaEvent } from "./events.ts";
import type { VerifiedIds } from "./verify.ts";

/**
 * The events of a file, read from anything that yields bytes: `fetch().body`, `Blob.stream()`, a Node stream, an array
 * of pieces. Leaving the loop early cancels the source.
 *
 * @throws LqaError the first error of the file; ABORTED; IO if the source fails
 */
export async function* lqaEvents(
  source: Pieces,
  options: StreamOptions = {},
): AsyncGenerator<LqaEvent, void, undefined> {
  yield* eventsOf(new Engine(options), source, options.signal);
}

/** Runs an engine over a source until the end. */
export async function* eventsOf(
  engine: Engine,
  source: Pieces,
  signal: AbortSignal | undefined,
): AsyncGenerator<LqaEvent, void, undefined> {
  try {
    for await (const piece of piecesOf(source, signal)) {
      engine.feed(piece);
      for (let event = await engine.next(); event !== undefined; event = await engine.next()) yield event;
    }
    engine.close();
    for (let event = await engine.next(); event !== undefined; event = await engine.next()) yield event;
  } finally {
    // Whoever keeps the iterator does not keep its buffers.
    engine.fail(new TypeError("this stream has ended"));
  }
}

/** How {@link decodeStream} decodes. */
export interface DecodeStreamOptions extends StreamOptions {
  /** How each module is decoded. `into` is not possible here; use {@link lqaEvents} for that. */
  readonly decode?: Omit<DecodeOptions, "into"> | undefined;
  /** Called once, before the first module: what is coming. */
  readonly onHeader?: ((header: HeaderEvent) => void) | undefined;
}

/** A module of a stream, decoded. */
export interface StreamedModule extends DecodedFactors {
  readonly record: ModuleRecord;
}

/**
 * The modules of a file, decoded one after the other as they arrive.
 *
 * ```ts
 * const { body } = await fetch(url);
 * for await (const { record, b, a } of decodeStream(body)) load(record.name, record.multiplier, b, a);
 * // Here, and not before, the adapter is known to be whole and unchanged.
 * ```
 *
 * @returns the ids of the verified file
 * @throws LqaError as {@link lqaEvents}, and BUDGET for a module too large to decode. Discard the modules then.
 */
export async function* decodeStream(
  source: Pieces,
  options: DecodeStreamOptions = {},
): AsyncGenerator<StreamedModule, VerifiedIds, undefined> {
  const { decode, onHeader, ...rest } = options;
  for await (const event of lqaEvents(source, rest)) {
    if (event.type === "header") onHeader?.(event);
    else if (event.type === "module") yield { record: event.record, ...event.decode(decode) };
    else if (event.type === "end") return { fileId: event.fileId, contentId: event.contentId };
  }
  throw new TypeError("a stream ended without its end");
}

/**
 * A transform from bytes to events, for `pipeThrough`.
 *
 * ```ts
 * await response.body.pipeThrough(lqaStream()).pipeTo(new WritableStream({ write: (event) => … }));
 * ```
 *
 * The two ends of a `TransformStream`, but not one of its kind: that would queue all events of a piece at once, and a
 * compressed piece of 64 KiB can hold gigabytes. Here a piece is taken when its predecessor's events have been read.
 * Both ends fail with the first error of the file.
 */
export function lqaStream(options: StreamOptions = {}): TransformStream<Uint8Array, LqaEvent> {
  const pieces = handover();
  const events = lqaEvents(pieces, options);
  const readable = new ReadableStream<LqaEvent>(
    {
      async pull(controller) {
        try {
          const { done, value } = await events.next();
          if (done === true) {
            pieces.finish();
            controller.close();
          } else controller.enqueue(value);
        } catch (error) {
          pieces.stop(error);
          throw error;
        }
      },
      async cancel(reason) {
        pieces.stop(reason);
        await events.return();
      },
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array>({
    write: (piece) => pieces.give(piece),
    close: () => pieces.end(),
    abort: (reason) => pieces.break(reason),
  });
  return { readable, writable };
}

interface Handover extends AsyncIterable<Uint8Array> {
  /** Resolves when the piece has been used up. */
  give(piece: Uint8Array): Promise<void>;
  /** Resolves when everything has been checked. */
  end(): Promise<void>;
  /** Everything has been checked. */
  finish(): void;
  /** The producer failed. */
  break(reason: unknown): void;
  /** The consumer wants no more. */
  stop(reason: unknown): void;
}

/** Passes pieces from one side to the other, one at a time. */
function handover(): Handover {
  type Item = { readonly piece?: Uint8Array; readonly error?: { readonly reason: unknown } };
  let waiting: { resolve(item: Item): void } | undefined;
  let offered: Item | undefined;
  let used: { resolve(): void; reject(reason: unknown): void } | undefined;
  let stopped: { readonly reason: unknown } | undefined;
  const offer = (item: Item): Promise<void> => {
    if (stopped !== undefined) return Promise.reject(stopped.reason);
    return new Promise((resolve, reject) => {
      used = { resolve, reject };
      if (waiting === undefined) offered = item;
      else waiting.resolve(item);
      waiting = undefined;
    });
  };
  return {
    give: (piece) => offer({ piece }),
    end: () => offer({}),
    finish() {
      used?.resolve();
      used = undefined;
    },
    break(reason) {
      offer({ error: { reason } }).catch(() => {});
    },
    stop(reason) {
      stopped ??= { reason };
      used?.reject(reason);
      used = undefined;
      // Whoever waits for a piece would wait for ever.
      waiting?.resolve({ error: stopped });
      waiting = undefined;
    },
    [Symbol.asyncIterator]: () => ({
      async next() {
        // Whoever asks for a piece is done with the one before.
        used?.resolve();
        used = undefined;
        if (stopped !== undefined) throw stopped.reason;
        const item = offered ?? (await new Promise<Item>((resolve) => (waiting = { resolve })));
        offered = undefined;
        if (item.error !== undefined) throw item.error.reason;
        return item.piece === undefined
          ? { done: true, value: undefined }
          : { done: false, value: item.piece };
      },
    }),
  };
}
