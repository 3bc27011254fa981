/**
 * Waiting that a caller can abort: a free slot (a FIFO counting semaphore), a pause, or any promise.
 *
 * Packages with semaphores (p-limit, async-sema, async-mutex) cannot remove one waiter from the queue when its signal is
 * aborted, so this file has its own. HTTP sources, pools and the server use it to limit concurrency.
 *
 * @module
 */
import { assertNotAborted } from "../errors.ts";

/** A FIFO counting semaphore. With one slot it is a lock. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Number of free slots. */
  get free(): number {
    return this.#free;
  }

  /**
   * Takes a slot as soon as one is free.
   *
   * @returns a function that gives the slot back; calling it again does nothing
   * @throws LqaError ABORTED if the signal is aborted first; then the next waiter gets the turn
   */
  async take(signal?: AbortSignal): Promise<() => void> {
    assertNotAborted(signal);
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let taken = true;
    return () => {
      if (taken) this.#give();
      taken = false;
    };
  }

  /** Runs `work` in a slot. @throws LqaError ABORTED as {@link take}, and whatever `work` throws */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const give = await this.take(signal);
    try {
      return await work();
    } finally {
      give();
    }
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    let mine!: () => void;
    const turn = new Promise<void>((resolve) => this.#waiting.push((mine = resolve)));
    try {
      await unlessAborted(turn, signal);
    } catch (error) {
      const place = this.#waiting.indexOf(mine);
      // The slot may have been granted at the same time: pass it to the next waiter.
      if (place >= 0) this.#waiting.splice(place, 1);
      else this.#give();
      throw error;
    }
  }

  #give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

/** The result of `promise`. @throws LqaError ABORTED as soon as the signal is aborted, even if the promise never settles */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      try {
        assertNotAborted(signal);
      } catch (error) {
        reject(error);
      }
    };
  });
  signal.addEventListener("abort", stop);
  stop();
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Waits for some time. @throws LqaError ABORTED */
export async function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const time = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  try {
    await unlessAborted(time, signal);
  } finally {
    clearTimeout(timer);
  }
}
