/**
 * Reading as steps. The checks exist once (`header.ts`, `verify.ts`), as generators that request the next bytes of the file in
 * order. A feed (`feed.ts`) supplies the bytes, from any source. So an array, a stream cut anywhere and a server all have the same
 * first error.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { assertNotAborted, fail } from "../../errors.ts";
import type { Feed } from "./feed.ts";

/** The request of a step: the next bytes of the file. It gets fewer only if the file ends before them. */
export interface Need {
  /** Number of bytes. 0 is a pause, in which the caller may let other work run. */
  readonly bytes: number;
  /** Loads code that this file needs and most files do not. The caller awaits it before the step continues. */
  readonly load?: () => Promise<void>;
}

/** A pause after some work: requests no bytes. */
export const PAUSE: Need = { bytes: 0 };

/**
 * A running check: it requests bytes, receives them, and returns a result or throws the first error. After the header it does
 * not use earlier bytes once it has requested more, so the caller may reuse the memory.
 */
export type Steps<T> = Generator<Need, T, Uint8Array>;

/** How to watch a long operation. */
export interface WatchOptions {
  /** Aborts the operation with ABORTED. The operation checks it between chunks. */
  readonly signal?: AbortSignal | undefined;
  /** Called with the amount that is done, and the total. If it throws, the operation ends with that error. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Runs steps with the bytes of a feed. Between steps it lets timers and abort signals run every 20 ms.
 *
 * @throws LqaError the first error; ABORTED; whatever the feed throws
 */
export async function runSteps<T>(
  steps: Steps<T>,
  feed: Pick<Feed, "next">,
  signal?: AbortSignal,
): Promise<T> {
  const breathe = breather(signal);
  let step = steps.next();
  while (step.done !== true) {
    await step.value.load?.();
    const taken = feed.next(step.value.bytes);
    step = steps.next(taken instanceof Uint8Array ? taken : await taken);
    const rest = breathe();
    if (rest !== undefined) await rest;
  }
  return step.value;
}

/**
 * Requests bytes that must all be present.
 *
 * @param at position of the first byte in the file
 * @param expected length of the file, for the error
 * @throws LqaError TRUNCATED_FILE at the first missing byte
 */
export function* need(bytes: number, at: number, where: string, expected: number): Steps<Uint8Array> {
  const piece = yield { bytes };
  if (piece.length < bytes) truncated(at + piece.length, expected, where);
  return piece;
}

/** Reports that a file ends at byte `length`. @throws LqaError TRUNCATED_FILE */
export function truncated(length: number, expected: number, where?: string): never {
  return fail(KIND.TRUNCATED_FILE, { where, offset: length, expected: `${expected} bytes`, actual: length });
}

/** Milliseconds of work after which a breather lets timers and abort signals run. */
const PAUSE_MS = 20;

/**
 * A function to call between two pieces of work. It lets timers and abort signals run every 20 ms.
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
