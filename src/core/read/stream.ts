/**
 * Decodes a file as it arrives: one module after the other, with the index and one chunk in memory. The comment on the push
 * decoder below says what it checks and guarantees. Back-pressure reaches the source: the stream reads the next piece after the
 * consumer has taken the last module of the one before.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Pieces } from "../../io/pieces.ts";
import { isBytes } from "../../io/source.ts";
import type { DecodedModule, DecodeOptions, WeightType } from "./decode.ts";
import { Engine, eventsOf, type StreamOptions } from "./engine.ts";
import type { EndEvent, HeaderEvent, LqaEvent } from "./events.ts";
import type { VerifiedIds } from "./verify.ts";

/** Options of {@link decodeStream}. */
export interface DecodeStreamOptions<T extends WeightType = WeightType> extends StreamOptions {
  /** How to decode each module. `into` is not possible here; use `LqaDecoder` for that. */
  readonly decode?: Omit<DecodeOptions<T>, "into"> | undefined;
  /** Called once with prologue and index, before the first module. */
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

// The push decoder (spec clause 13.1): it takes bytes as they arrive, and returns checked modules, tensors and sections as soon
// as they are whole. It needs memory for the index and one chunk.
//
// **The same events and the same first error, however the input is cut.** The events of a file are its header, its chunks in
// file order, and the end. The first error is that of `validate(bytes, { level: "values" })` on the same bytes, and that of
// `open(bytes)` followed by `verify()`: same code, same offset. Only a decoder reports BUDGET, for a chunk above
// `budgetBytes`.
//
// **Not final before the end.** The decoder returns a chunk after checks of its CRC-32, its padding and its values. When `end`
// has resolved, the file is known to be whole and unchanged. If a later check fails, discard all earlier results.

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

  /** Bytes pushed so far. */
  get received(): number {
    return this.#engine.received;
  }

  /** Bytes of the buffer for the part of the file that is not whole yet. */
  get heldBytes(): number {
    return this.#engine.held;
  }

  /** The error that ended the decoder; undefined while it can continue. */
  get error(): unknown {
    return this.#engine.failure;
  }

  /**
   * Takes the next bytes. Resolves after the receiver has handled all their events; after that you may reuse the array.
   *
   * @throws LqaError the first error of the file; ABORTED; errors of the receiver. Every later call throws the same error.
   * @throws TypeError if the previous call has not settled yet, or after `end`.
   */
  async push(bytes: Uint8Array): Promise<void> {
    if (!isBytes(bytes)) throw new TypeError("push takes a Uint8Array");
    await this.#run(() => this.#engine.feed(bytes));
  }

  /**
   * Reports the end of the input, and returns the ids of the verified file.
   *
   * @throws as {@link push}; TRUNCATED_FILE or TRUNCATED_PROLOGUE if bytes are missing
   */
  async end(): Promise<VerifiedIds> {
    await this.#run(() => {
      this.#engine.close();
      this.#ended = true;
    });
    return this.#ids!;
  }

  /** Ends the decoder with ABORTED, and releases its buffers. Does nothing after the end. */
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
