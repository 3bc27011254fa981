/**
 * A file as it arrives: its decoded modules one after the other, with the index and one chunk in memory. What is checked and
 * promised is in `push.ts`. Back-pressure reaches the source: the next piece is read after the consumer took the last module.
 *
 * @module
 */

import { type Pieces, piecesOf } from "../io/pieces.ts";
import type { DecodedModule, DecodeOptions, WeightType } from "./decode.ts";
import { Engine, type StreamOptions } from "./engine.ts";
import type { HeaderEvent, LqaEvent } from "./events.ts";
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
