/**
 * Reads a source from a position on in pieces, for checks of whole files and of whole spans.
 *
 * @module
 */
import { type ByteSource, eitherSignal } from "../io/source.ts";

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
      at += Math.min(pieceBytes, end - at);
      const whole = at === end || piece.length === pieceBytes;
      next = at < end && whole ? read(at) : undefined;
      yield piece;
      onProgress?.(at - start, end - start);
    }
  } finally {
    control.abort();
  }
}
