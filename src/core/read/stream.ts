/**
 * A file as it arrives: its decoded modules one after the other, with the index and one chunk in memory. What is checked and
 * promised stands at the push decoder below. Back-pressure reaches the source: the next piece is read after the consumer took the last module.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type Pieces, piecesOf } from "../io/pieces.ts";
import { isBytes } from "../io/source.ts";
import type { DecodedModule, DecodeOptions, WeightType } from "./decode.ts";
import { Engine, type StreamOptions } from "./engine.ts";
import type { EndEvent, HeaderEvent, LqaEvent } from "./events.ts";
import type { VerifiedIds } from "./verify.ts";

/** Runs an engine over a source until the end. Leaving the loop early cancels the source. */
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
    // Keeping the iterator does not keep its buffers.
    engine.fail(new TypeError("this stream has ended"));
  }
}

/** How {@link decodeStream} decodes. */
export interface DecodeStreamOptions<T extends WeightType = WeightType> extends StreamOptions {
  /** How each module is decoded. `into` is not possible here; use `LqaDecoder` for that. */
  readonly decode?: Omit<DecodeOptions<T>, "into"> | undefined;
  /** Called once, before the first module: what is coming. */
  readonly onHeader?: ((header: HeaderEvent) => void) | undefined;
}

/**
 * The modules of a file, decoded one after the other as they arrive, from anything that yields bytes: `fetch().body`,
 * `Blob.stream()`, a Node stream, an array of pieces. Leaving the loop early cancels the source. For packed modules, plain
 * tensors and sections as they arrive, see `LqaDecoder`.
 *
 * ```ts
 * const { body } = await fetch(url);
 * for await (const { name, multiplier, b, a } of decodeStream(body)) load(name, multiplier, b.data, a.data);
 * // Here, and not before, the adapter is known to be whole and unchanged.
 * ```
 *
 * @returns the ids of the verified file
 * @throws LqaError the first error of the file; ABORTED; IO if the source fails; BUDGET for a module too large to decode.
 *   Discard the modules then.
 */
export async function* decodeStream<T extends WeightType = "f32">(
  source: Pieces,
  options: DecodeStreamOptions<T> = {},
): AsyncGenerator<DecodedModule<T>, VerifiedIds, undefined> {
  const { decode, onHeader, ...rest } = options;
  for await (const event of eventsOf(new Engine(rest), source, rest.signal)) {
    if (event.type === "header") onHeader?.(event);
    else if (event.type === "module") yield event.decode(decode);
    else if (event.type === "end") return { fileId: event.fileId, contentId: event.contentId };
  }
  throw new TypeError("a stream ended without its end");
}

// The push decoder (spec clause 13.1): bytes in, as they come; verified modules, tensors and sections out, as soon as
// they are whole. It needs memory for the index and one chunk.
//
// **Same events, same first error, however the input is cut.** The events of a file are its header, its chunks in file
// order, and the end. The first error is that of `validate(bytes, { level: "values" })` on the same bytes, and that of
// `open(bytes)` followed by `verify()`: same code, same offset. Only a decoder reports BUDGET, for a chunk above
// `budgetBytes`.
//
// **Not final before the end.** A chunk is handed out when its CRC-32, its padding and its values have been checked; that the
// file is the whole and unchanged one is known when `end` has resolved. If a later check fails, discard what came before.

/** Receives each event. The decoder waits for the promise it may return. An error it throws ends the decoder. */
export type EventReceiver = (event: LqaEvent) => void | PromiseLike<void>;

/**
 * Reads one file from pieces of any size.
 *
 * ```ts
 * const decoder = new LqaDecoder((event) => {
 *   if (event.type === "module") load(event.decode());
 * });
 * for await (const piece of source) await decoder.push(piece);
 * const { fileId } = await decoder.end(); // throws if the file is not whole
 * ```
 */
export class LqaDecoder {
  readonly #engine: Engine;
  readonly #receiver: EventReceiver;
  #busy = false;
  #ended = false;
  #ids: VerifiedIds | undefined;

  constructor(receiver: EventReceiver, options: StreamOptions = {}) {
    this.#engine = new Engine(options);
    this.#receiver = receiver;
  }

  /** Bytes of the file that have passed their checks. After an error, where the part that failed begins. */
  get offset(): number {
    return this.#engine.offset;
  }

  /** Bytes that were pushed. */
  get received(): number {
    return this.#engine.received;
  }

  /** Bytes held for the part of the file that is not whole yet. */
  get heldBytes(): number {
    return this.#engine.held;
  }

  /** What ended the decoder; undefined while it can go on. */
  get error(): unknown {
    return this.#engine.failure;
  }

  /**
   * Takes the next bytes. Resolves after the receiver has handled all their events; by then the bytes have been copied.
   *
   * @throws LqaError the first error of the file; ABORTED; errors of the receiver. Every later call throws the same error.
   *   TypeError for a call before the one before it has settled, or after `end`.
   */
  async push(bytes: Uint8Array): Promise<void> {
    if (!isBytes(bytes)) throw new TypeError("push takes a Uint8Array");
    await this.#run(() => this.#engine.feed(bytes));
  }

  /**
   * Says that the input has ended, and gets the ids of the verified file.
   *
   * @throws as {@link push}; TRUNCATED_FILE or TRUNCATED_PROLOGUE if something is missing
   */
  async end(): Promise<VerifiedIds> {
    await this.#run(() => {
      this.#engine.close();
      this.#ended = true;
    });
    return this.#ids!;
  }

  /** Ends the decoder with ABORTED, and lets go of its buffers. */
  abort(reason?: unknown): void {
    if (this.#ids !== undefined) return;
    try {
      fail(KIND.ABORTED, { cause: reason });
    } catch (error) {
      this.#engine.fail(error);
    }
  }

  async #run(begin: () => void): Promise<void> {
    if (this.#engine.failure !== undefined) throw this.#engine.failure;
    if (this.#busy) throw new TypeError("wait for the push before this one");
    if (this.#ended) throw new TypeError("this decoder has ended");
    begin();
    this.#busy = true;
    try {
      for (;;) {
        const event = await this.#engine.next();
        if (event === undefined) return;
        if (event.type === "end") this.#ids = idsOf(event);
        await this.#receiver(event);
      }
    } catch (error) {
      this.#engine.fail(error);
      throw this.#engine.failure;
    } finally {
      this.#busy = false;
    }
  }
}

function idsOf({ fileId, contentId }: EndEvent): VerifiedIds {
  return { fileId, contentId };
}
