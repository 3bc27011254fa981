/**
 * Reading as steps. The checks and their order are written once (`header.ts`, `verify.ts`), as generators that request the
 * next bytes of the file; the caller supplies the bytes from any source: an array, a source of ranges, a validator's window,
 * pieces that arrive (`engine.ts`). So an array, a stream cut anywhere and a server all have the same first error.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { assertNotAborted } from "../io/source.ts";

/** The request of a step: the next bytes of the file. It gets fewer only if the file ends before them. */
export interface Need {
  /** 0: a pause, in which the caller may let other work run. */
  readonly bytes: number;
  /** The bytes are a compressed chunk: zstd must be loaded before the step continues. */
  readonly compressed?: boolean;
  /** What the file needs beyond what every reader has: loaded before the step continues. */
  readonly load?: () => Promise<void>;
}

/** Requests nothing; the step has done some work. */
export const PAUSE: Need = { bytes: 0 };

/**
 * A running check: it requests bytes, receives them, and returns a result or throws the first error. After the header it does
 * not use earlier bytes once it has requested more, so the caller may reuse the memory.
 */
export type Steps<T> = Generator<Need, T, Uint8Array>;

/** How a long operation is watched. */
export interface WatchOptions {
  /** Ends the operation with ABORTED. Looked at between chunks, and at least every 20 ms of them. */
  readonly signal?: AbortSignal | undefined;
  /** Called with how much is done, of how much in all. What it throws ends the operation. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Runs steps with what `take` gives them, and lets timers and abort signals run at least every 20 ms.
 *
 * @throws LqaError the first error; ABORTED; whatever `take` throws
 */
export async function runSteps<T>(
  steps: Steps<T>,
  take: (need: Need) => Uint8Array | Promise<Uint8Array>,
  signal?: AbortSignal,
): Promise<T> {
  const breathe = breather(signal);
  let step = steps.next();
  while (step.done !== true) {
    await step.value.load?.();
    const taken = take(step.value);
    step = steps.next(taken instanceof Uint8Array ? taken : await taken);
    const rest = breathe();
    if (rest !== undefined) await rest;
  }
  return step.value;
}

/** What gives the bytes of an array to steps, from `at` on: views. Progress is in bytes from `at` to `end`. */
export function takeFrom(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
  onProgress?: WatchOptions["onProgress"],
): (need: Need) => Uint8Array {
  let position = at;
  return (need) => {
    // What was handed out before has been checked by now.
    if (position > at && need.bytes > 0) onProgress?.(position - at, end - at);
    const piece = bytes.subarray(position, position + need.bytes);
    position += piece.length;
    return piece;
  };
}

/** Runs steps over an array without a pause. They get views. */
export function runOver<T>(bytes: Uint8Array, steps: Steps<T>): T {
  const take = takeFrom(bytes);
  let step = steps.next();
  while (step.done !== true) step = steps.next(take(step.value));
  return step.value;
}

/**
 * Requests bytes that must all be present.
 *
 * @param at position of the first of them in the file
 * @throws LqaError TRUNCATED_FILE at the first byte that is missing
 */
export function* need(
  bytes: number,
  at: number,
  where: string,
  expected: number,
  compressed = false,
): Steps<Uint8Array> {
  const piece = yield { bytes, compressed };
  if (piece.length < bytes) truncated(at + piece.length, expected, where);
  return piece;
}

/** @throws LqaError TRUNCATED_FILE */
export function truncated(length: number, expected: number, where?: string): never {
  return fail(KIND.TRUNCATED_FILE, { where, offset: length, expected: `${expected} bytes`, actual: length });
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
