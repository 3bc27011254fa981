/**
 * One attempt at a request, and what ends it early: the caller's signal, silence, or a body that arrives below the least
 * rate. Without the rate a server that sends a byte now and then could hold a reader for days.
 *
 * @module
 */

/** Longest delay of a timer; a longer one would end at once. */
export const MOST_MS: number = 2 ** 31 - 1;

/** What ends one attempt: the caller's signal, silence, or a body below the least rate. */
export interface Attempt {
  readonly signal: AbortSignal;
  /** Reports the number of bytes that have arrived. */
  readonly alive: (bytes: number) => void;
  /** The head of the answer is there: from now on the rate counts. */
  body(): void;
  /** Why the attempt was given up, unless the caller ended it. */
  gaveUp(): string | undefined;
  end(): void;
}

/**
 * Begins an attempt. Its timers run until `end`.
 *
 * @param outer the caller's signal
 * @param limits `silenceMs`: longest silence, and the window of the rate; `leastRate`: bytes a second
 */
export function beginAttempt(
  outer: AbortSignal | undefined,
  limits: { readonly silenceMs: number; readonly leastRate: number },
): Attempt {
  const silenceMs = Math.min(limits.silenceMs, MOST_MS);
  const { leastRate } = limits;
  const controller = new AbortController();
  let reason: string | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let rate: ReturnType<typeof setInterval> | undefined;
  let arrived = 0;
  const abort = (): void => controller.abort();
  const giveUp = (why: string): void => {
    reason ??= why;
    abort();
  };
  if (outer?.aborted) abort();
  outer?.addEventListener("abort", abort);
  const alive = (bytes: number): void => {
    arrived += bytes;
    clearTimeout(silence);
    silence = setTimeout(() => giveUp(`silence for ${silenceMs} ms`), silenceMs);
  };
  alive(0);
  return {
    signal: controller.signal,
    alive,
    body() {
      rate = setInterval(() => {
        if (arrived < (leastRate * silenceMs) / 1000)
          giveUp(`${arrived} bytes in ${silenceMs} ms, below the least rate of ${leastRate} bytes a second`);
        arrived = 0;
      }, silenceMs);
    },
    gaveUp: () => reason,
    end() {
      clearTimeout(silence);
      clearInterval(rate);
      outer?.removeEventListener("abort", abort);
    },
  };
}
