/**
 * Concurrency with bounds: work on many items, and waiting.
 *
 * @module
 */

/**
 * Yields the results in the order of the items. At most `places` items are in progress or have a result that waits, so memory
 * stays bounded for any number of items. The first error ends the generator, after the work in progress has settled.
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
      // It is awaited when its turn comes. Until then a rejection must not count as unhandled.
      result.catch(() => {});
      begun.push(result);
      if (begun.length >= places) yield await begun.shift()!;
    }
    while (begun.length > 0) yield await begun.shift()!;
  } finally {
    await Promise.allSettled(begun);
  }
}

/** Waits for a time; ends early, without an error, when the signal aborts. */
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
