/**
 * One at a time, in the order of asking; whoever waits may give up.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { assertNotAborted } from "../io/source.ts";

/** A lock. Loads of one adapter go through one, so that nothing is loaded twice at the same time. */
export class Lock {
  #tail: Promise<void> = Promise.resolve();

  /**
   * Runs `work` when everybody who came before is done, whether that failed or not.
   *
   * @throws LqaError ABORTED if the signal is aborted before its turn; then the turn is passed on
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    assertNotAborted(signal);
    const before = this.#tail;
    let done!: () => void;
    this.#tail = new Promise((resolve) => (done = resolve));
    try {
      await abortable(before, signal);
    } catch (error) {
      before.then(done);
      throw error;
    }
    try {
      return await work();
    } finally {
      done();
    }
  }
}

/** The promise, or ABORTED as soon as the signal is. */
export async function abortable(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise;
  let stop!: () => void;
  const aborted = new Promise<void>((_, reject) => {
    stop = () => {
      try {
        fail(KIND.ABORTED, { cause: signal.reason });
      } catch (error) {
        reject(error);
      }
    };
  });
  signal.addEventListener("abort", stop);
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
