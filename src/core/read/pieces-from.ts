/**
 * Reads a source from a position on in pieces: everything, with read-ahead, for checks of whole files and of whole spans; or only
 * what a feed requests, for those who need its first bytes.
 *
 * @module
 */

import type { ByteSource } from "../../io/source.ts";
import { eitherSignal } from "../../io/source.ts";
import { FIRST_BYTES } from "./ranges.ts";

/** Bytes per request when reading everything. */
export const PIECE_BYTES: number = 4 * 2 ** 20;

/**
 * Everything from `start` to `end` in pieces, with one piece of read-ahead; fewer if the source ends before. Leaving the loop
 * aborts the current request.
 */
export async function* piecesFrom(
  source: ByteSource,
  start: number,
  end: number,
  signal?: AbortSignal,
  {
    onProgress,
    pieceBytes = PIECE_BYTES,
  }: {
    readonly onProgress?: ((done: number, total: number) => void) | undefined;
    readonly pieceBytes?: number;
  } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const control = new AbortController();
  const either = eitherSignal(signal, control.signal);
  const read = (at: number): Promise<Uint8Array> => {
    const piece = source.read(at, Math.min(pieceBytes, end - at), either);
    // The loop awaits it in its turn, unless the consumer has left before.
    piece.catch(() => {});
    return piece;
  };
  try {
    let next = start < end ? read(start) : undefined;
    for (let at = start; next !== undefined; ) {
      const piece = await next;
      at += piece.length;
      next = at < end && piece.length > 0 ? read(at) : undefined;
      yield piece;
      onProgress?.(at - start, end - start);
    }
  } finally {
    control.abort();
  }
}

/** The largest alignment, so that the padding behind a long index comes with it. */
const PADDING_BYTES = 4096;

/** Pieces of a source for a {@link Feed}, each as long as the feed requires, without read-ahead. */
export interface Requested {
  /** Whether the source has no bytes behind those that were read. */
  readonly ended: boolean;
  readonly more: (missing: number) => Promise<Uint8Array | undefined>;
}

/** Reads the first {@link FIRST_BYTES} bytes of a source, and then those that are missing. */
export function asRequested(source: ByteSource, signal?: AbortSignal): Requested {
  let at = 0;
  let ended = false;
  return {
    get ended() {
      return ended;
    },
    async more(missing) {
      if (ended) return undefined;
      const wanted = at === 0 ? Math.max(FIRST_BYTES, missing) : missing + PADDING_BYTES;
      const piece = await source.read(at, wanted, signal);
      ended = piece.length < wanted;
      at += piece.length;
      return piece;
    },
  };
}
