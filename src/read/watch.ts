/**
 * What every long operation in memory has in common: it tells how far it is, stops when it is told to, and lets timers
 * and abort signals run in between.
 *
 * @module
 */
import { assertNotAborted } from "../io/source.ts";

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
