/**
 * Splits long work into pieces. Loops over every record of an index are generators that yield periodically, so that the
 * caller can let timers and other requests run in between (`read/watch.ts`), or continue immediately.
 *
 * @module
 */

/** Work that may pause. It yields nothing, and ends with a result or an error. */
export type Pauses<T> = Generator<undefined, T, unknown>;

/** Records, or bands, between two pauses: one to four milliseconds. */
const BETWEEN = 4096;

/** Counts work done; true when it is time for a pause. */
export function pacer(): (work: number) => boolean {
  let done = 0;
  return (work) => {
    done += work;
    if (done < BETWEEN) return false;
    done = 0;
    return true;
  };
}

/** Does the work in one go. */
export function withoutPauses<T>(work: Pauses<T>): T {
  let step = work.next();
  while (step.done !== true) step = work.next();
  return step.value;
}
