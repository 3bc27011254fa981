/**
 * Worker threads that perform encoding and decoding tasks (Node only). Results come in the order of the tasks, and every
 * task is a function of its input, so the number of workers changes only the time.
 *
 * A worker costs some 40 ms and 30 MB; {@link suitableWorkers} decides when that pays off.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { type Executor, inline } from "../../encode/quantize/tasks.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { settledOf } from "./outcome.ts";
import { type Hand, type Settled, schedule } from "./schedule.ts";
import { type PoolInput, type PoolKind, type PoolOutput, parcel } from "./tasks.ts";
import type { WorkerAnswer } from "./worker.ts";

/** A set of workers, until it is closed. An {@link Executor} for encoding that can also decode. */
export interface WorkerPool {
  /** Number of workers. */
  readonly workers: number;
  /** Performs tasks of one kind, as {@link Executor.run}. Runs may overlap; when a run fails, all its tasks have ended. */
  run<K extends PoolKind>(
    kind: K,
    inputs: Iterable<PoolInput[K]>,
    done: (name: string) => Promise<void>,
  ): Promise<PoolOutput[K][]>;
  run<K extends PoolKind>(
    kind: K,
    inputs: AsyncIterable<PoolInput[K]>,
    done: (name: string) => Promise<void>,
  ): Promise<PoolOutput[K][]>;
  /** Terminates the workers, even busy ones. */
  close(): Promise<void>;
}

/** Parameters of an adapter for which one more worker pays off: about 80 ms of work. */
const PARAMETERS_PER_WORKER = 500_000;

/** Most workers; a larger number is a mistake. */
export const MAX_WORKERS = 64;

/** Number of workers that pay off: at most one per core; 1 means no workers. */
export function suitableWorkers(parameters: number): number {
  return Math.max(
    1,
    Math.min(availableParallelism(), MAX_WORKERS, Math.floor(parameters / PARAMETERS_PER_WORKER)),
  );
}

/**
 * Runs a function with this many workers and then terminates them; with one worker, runs it on this thread.
 *
 * @throws LqaError USAGE for a count that is not a whole number from 1 to 64, and errors of `run`
 */
export async function withWorkers<T>(count: number, run: (executor: Executor) => Promise<T>): Promise<T> {
  checkCount(count);
  if (count <= 1) return run(inline);
  const pool = createWorkerPool(count);
  try {
    return await run(pool);
  } finally {
    await pool.close();
  }
}

function checkCount(count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > MAX_WORKERS)
    fail(KIND.USAGE, {
      where: "workers",
      expected: `a whole number from 1 to ${MAX_WORKERS}`,
      actual: count,
    });
}

/**
 * Starts workers.
 *
 * @throws LqaError USAGE for a count that is not a whole number from 1 to 64
 */
export function createWorkerPool(count: number): WorkerPool {
  checkCount(count);
  // Sources run unbuilt if Node strips types, so the extension is that of this file.
  const extension = /\.[a-z]+$/.exec(import.meta.url)![0];
  const script = new URL(`./worker${extension}`, import.meta.url);
  // Otherwise a worker needs no option of the process, and does not begin with --input-type, which is for text and not for files.
  const options = extension === ".ts" ? {} : { execArgv: [] };
  const workers = Array.from({ length: count }, () => new Worker(script, options));
  // A worker that has ended never answers.
  const ended = new WeakSet<Worker>();
  for (const worker of workers) worker.on("exit", () => ended.add(worker));
  const hands = workers.map(
    (worker): Hand =>
      (kind, input) =>
        ended.has(worker)
          ? Promise.resolve({ error: new Error("a worker ended before its task") })
          : ask(worker, kind, input),
  );
  return {
    workers: count,
    run: <K extends PoolKind>(
      kind: K,
      inputs: Iterable<PoolInput[K]> | AsyncIterable<PoolInput[K]>,
      done: (name: string) => Promise<void>,
    ) => schedule(hands, kind, inputs, done),
    async close() {
      for (const worker of workers) ended.add(worker);
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

let asked = 0;

/** Sends a task to a worker. Answers have the number of their task, because several runs may use one worker. */
function ask<K extends PoolKind>(
  worker: Worker,
  kind: K,
  input: PoolInput[K],
): Promise<Settled<PoolOutput[K]>> {
  return new Promise((resolve) => {
    const finish = (result: Settled<PoolOutput[K]>): void => {
      worker.off("message", onAnswer).off("error", onError).off("exit", onExit);
      resolve(result);
    };
    const task = asked++;
    const onAnswer = (answer: WorkerAnswer): void => {
      if (answer.task !== task) return;
      finish(settledOf<K>(answer));
    };
    const onError = (error: unknown): void => finish({ error });
    const onExit = (code: number): void =>
      finish({ error: new Error(`a worker ended before its task, with code ${code}`) });
    worker.on("message", onAnswer).on("error", onError).on("exit", onExit);
    try {
      const { input: own, transfer } = parcel(kind, input);
      worker.postMessage({ task, kind, input: own }, transfer);
    } catch (error) {
      // Lazy factors are read here, and this may fail.
      finish({ error });
    }
  });
}
