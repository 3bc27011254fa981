/**
 * Distributes tasks to performers of any kind: Node's threads, workers of a web page. Results come in the order of the
 * tasks.
 *
 * @module
 */
import type { PoolInput, PoolKind, PoolOutput } from "./tasks.ts";

/** The outcome of a task. */
export type Settled<T> = { readonly output: T } | { readonly error: unknown };

/** Performs one task at a time. Never rejects. */
export type Hand = <K extends PoolKind>(kind: K, input: PoolInput[K]) => Promise<Settled<PoolOutput[K]>>;

/**
 * Performs tasks of one kind, as `Executor.run`: `done` receives the names of finished tasks in order. If tasks fail, throws the
 * error of the first failed task in order, after all running tasks have ended.
 */
export async function schedule<K extends PoolKind>(
  hands: readonly Hand[],
  kind: K,
  inputs: Iterable<PoolInput[K]> | AsyncIterable<PoolInput[K]>,
  done: (name: string) => Promise<void>,
): Promise<PoolOutput[K][]> {
  const queue = Symbol.asyncIterator in inputs ? inputs[Symbol.asyncIterator]() : inputs[Symbol.iterator]();
  const settled: Settled<PoolOutput[K]>[] = [];
  const names: string[] = [];
  let taken = 0;
  let told = 0;
  /** If true, no result is reported any more. */
  let stopped = false;
  /** If true, no task is taken any more. */
  let failed = false;
  let telling = Promise.resolve();
  // All tasks before a failed one were taken, and finish before anything is thrown.
  const tell = async (): Promise<void> => {
    for (; told < settled.length && settled[told] !== undefined && !stopped; told++) {
      if ("error" in settled[told]!) stopped = true;
      else await done(names[told]!);
    }
  };
  const work = async (hand: Hand): Promise<void> => {
    while (!stopped && !failed) {
      // The queue answers in the order of the calls, so tasks keep their order.
      const next = await queue.next();
      if (next.done === true) return;
      const index = taken++;
      names[index] = next.value.module.name;
      settled[index] = await hand(kind, next.value);
      failed ||= "error" in settled[index];
      telling = telling.then(tell);
      try {
        await telling;
      } catch (error) {
        stopped = true;
        throw error;
      }
    }
  };
  // All performers must be idle when this ends: a busy worker would answer the next run, and write to its memory.
  const ends = await Promise.allSettled(hands.map(work));
  await queue.return?.();
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  return settled.map((result) => {
    if ("error" in result) throw result.error;
    return result.output;
  });
}
