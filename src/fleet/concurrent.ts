/**
 * Some work on each of many things, a few at a time.
 *
 * @module
 */

/**
 * Results in the order of the things. At most `places` things are in work or wait to be taken, so that memory stays bounded
 * however many there are. The first error ends it, once what was begun has ended.
 */
export async function* concurrently<T, R>(
  things: AsyncIterable<T> | Iterable<T>,
  places: number,
  work: (thing: T) => Promise<R>,
): AsyncGenerator<R> {
  const begun: Promise<R>[] = [];
  try {
    for await (const thing of things) {
      const result = work(thing);
      // It is awaited in its turn. Until then a rejection must not count as unhandled.
      result.catch(() => {});
      begun.push(result);
      if (begun.length >= places) yield await begun.shift()!;
    }
    while (begun.length > 0) yield await begun.shift()!;
  } finally {
    await Promise.allSettled(begun);
  }
}

/** Waits; ends early, without an error, when the signal is aborted. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end);
  });
}

/** Resolves once the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** The promise, or undefined after this many milliseconds. */
export async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T | undefined> {
  const stop = new AbortController();
  try {
    return await Promise.race([promise, pause(milliseconds, stop.signal).then(() => undefined)]);
  } finally {
    stop.abort();
  }
}
