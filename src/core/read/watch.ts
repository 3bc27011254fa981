/**
 * What every long operation in memory has in common: it tells how far it is, stops when it is told to, and lets timers
 * and abort signals run in between.
 *
 * @module
 */
import { assertNotAborted } from "../io/source.ts";
import type { Steps } from "./steps.ts";

/** How a long operation is watched. */
export interface WatchOptions {
  /** Ends the operation with ABORTED. Looked at between chunks, and at least every 20 ms of them. */
  readonly signal?: AbortSignal | undefined;
  /** Told how much is done, of how much in all. What it throws ends the operation. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** How long it works before it lets timers and abort signals run. */
const PAUSE_MS = 20;

/**
 * A function to call between two pieces of work.
 *
 * @throws LqaError ABORTED, now and from that function
 */
export function breather(signal: AbortSignal | undefined): () => Promise<void> | undefined {
  assertNotAborted(signal);
  let rested = performance.now();
  return () => {
    assertNotAborted(signal);
    if (performance.now() - rested < PAUSE_MS) return undefined;
    return new Promise<void>((resolve) => setTimeout(resolve, 0)).then(() => {
      rested = performance.now();
      assertNotAborted(signal);
    });
  };
}

/** Runs steps over an array, from `at` on, as `runOver` does, and watched: progress is in bytes from `at` to `end`. @throws LqaError ABORTED */
export async function runWatched<T>(
  bytes: Uint8Array,
  at: number,
  end: number,
  steps: Steps<T>,
  { signal, onProgress }: WatchOptions,
): Promise<T> {
  const breathe = breather(signal);
  let position = at;
  let step = steps.next();
  while (step.done !== true) {
    const piece = bytes.subarray(position, position + step.value.bytes);
    step = steps.next(piece);
    position += piece.length;
    if (piece.length > 0) onProgress?.(position - at, end - at);
    const rest = breathe();
    if (rest !== undefined) await rest;
  }
  return step.value;
}
