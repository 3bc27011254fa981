/**
 * What reading by ranges does with a {@link ByteSource}: the header from its first bytes, a stretch that must be whole,
 * everything from a position on.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { LimitSet } from "../../limits.ts";
import { concat } from "../container/bytes.ts";
import type { Extent } from "../container/types.ts";
import { assertNotAborted, type ByteSource, eitherSignal } from "../io/source.ts";
import { type Header, headerSteps } from "./header.ts";
import { truncated } from "./steps.ts";
import { breather } from "./watch.ts";

/** The first request (spec 13.2): it holds prologue and index of most adapters. */
export const FIRST_BYTES = 65536;
/** The largest alignment, so that the padding behind a long index comes with it. */
const PADDING_BYTES = 4096;
/** Bytes asked for at once where everything is read. */
export const PIECE_BYTES: number = 4 * 2 ** 20;

/**
 * Reads and checks prologue and index, and compares the length of the source with the one the file declares.
 *
 * @returns the header, and a source that answers for the bytes that were read already
 */
export async function openHeader(
  source: ByteSource,
  options: { readonly limits?: LimitSet | undefined; readonly signal?: AbortSignal | undefined },
): Promise<{ readonly header: Header; readonly source: KeepingSource }> {
  const { signal } = options;
  let bytes = await source.read(0, FIRST_BYTES, signal);
  let ended = bytes.length < FIRST_BYTES;
  let at = 0;
  const steps = headerSteps(options.limits ?? "core");
  let step = steps.next();
  const breathe = breather(signal);
  while (step.done !== true) {
    await breathe();
    const end = at + step.value.bytes;
    if (end > bytes.length && !ended) {
      const wanted = end - bytes.length + PADDING_BYTES;
      const more = await source.read(bytes.length, wanted, signal);
      ended = more.length < wanted;
      bytes = concat([bytes, more]);
    }
    const piece = bytes.subarray(at, end);
    at += piece.length;
    step = steps.next(piece);
  }
  const header = step.value;
  const { fileLength } = header.prologue;
  // Where the source does not know its size, its end shows when something behind it is read.
  const size = source.size ?? (ended ? bytes.length : fileLength);
  if (size < fileLength) truncated(size, fileLength);
  if (size > fileLength)
    fail(KIND.TRAILING_BYTES, { offset: fileLength, expected: `${fileLength} bytes`, actual: size });
  const kept = keepingSource(source);
  kept.keep("head", 0, bytes);
  return { header, source: kept };
}

/** A source that answers from memory for stretches which were read before. */
export interface KeepingSource extends ByteSource {
  /** Keeps the bytes of the source from `offset` on, instead of the ones kept under this name before. */
  keep(name: string, offset: number, bytes: Uint8Array): void;
}

export function keepingSource(source: ByteSource): KeepingSource {
  const kept = new Map<string, readonly [offset: number, bytes: Uint8Array]>();
  return {
    get size() {
      return source.size;
    },
    stable: source.stable,
    keep: (name, offset, bytes) => void kept.set(name, [offset, bytes]),
    async read(offset, length, signal) {
      for (const [start, bytes] of kept.values()) {
        if (offset < start || offset + length > start + bytes.length) continue;
        assertNotAborted(signal);
        return bytes.subarray(offset - start, offset - start + length);
      }
      return source.read(offset, length, signal);
    },
  };
}

/** A stretch of the file. @throws LqaError TRUNCATED_FILE, and as the source */
export async function readExactly(
  source: ByteSource,
  { offset, length }: Extent,
  where: string,
  fileLength: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const bytes = await source.read(offset, length, signal);
  if (bytes.length < length) truncated(offset + bytes.length, fileLength, where);
  return bytes;
}

/**
 * Everything from `start` to `end` in pieces, one of which is read ahead; fewer where the source ends before. Leaving the
 * loop ends the request that is under way.
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
    // It is awaited in its turn, unless somebody left before.
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
