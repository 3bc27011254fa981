/**
 * So many at a time, in the order of asking; whoever waits may give up.
 *
 * @module
 */
import { abortable } from "./lock.ts";

/** A number of slots. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /**
   * Takes a slot, when there is one.
   *
   * @returns what gives it back; again does nothing
   * @throws LqaError ABORTED if the signal is aborted before
   */
  async take(signal?: AbortSignal): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let taken = true;
    return () => {
      if (taken) this.#give();
      taken = false;
    };
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    let mine!: () => void;
    const turn = new Promise<void>((resolve) => this.#waiting.push((mine = resolve)));
    try {
      await abortable(turn, signal);
    } catch (error) {
      const place = this.#waiting.indexOf(mine);
      // It may have been its turn already.
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
