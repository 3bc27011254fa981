/**
 * A worker: takes jobs from a queue and performs them until it is stopped; then it finishes the jobs in progress.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { eitherSignal } from "../core/io/source.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import { leaveSignals, withTemporaryDirectory } from "../node/files/temporary.ts";
import { parseLocation } from "../node/objects/location.ts";
import type { Stores } from "../node/objects/open-store.ts";
import { MAX_WORKERS, withWorkers } from "../node/workers/pool.ts";
import type { FleetFailure } from "./failure.ts";
import type { QueuedJob } from "./job.ts";
import { type AllowedRoots, type Attempt, allowedJob, performJob, type Workplace } from "./perform.ts";
import type { Process, WorkQueue } from "./queue.ts";
import { writeFailure } from "./records.ts";

/** Options of a worker. */
export interface WorkerOptions {
  /**
   * Locations, `s3://bucket/prefix`. The source and target of a job must be at or below one of them, because anyone who can
   * write to the queue can write a job. A job elsewhere fails with JOB_NOT_ALLOWED, and the worker touches none of its objects.
   */
  readonly allow: { readonly sources: readonly string[]; readonly targets: readonly string[] };
  /** Number of concurrent jobs, and of threads that encode. Default: one for each core. */
  readonly concurrency?: number | undefined;
  /** When it aborts, the worker takes no more jobs and finishes those in progress. */
  readonly signal?: AbortSignal | undefined;
  /** Ends when no job is queued or in progress and no submission is running. Default false. */
  readonly untilEmpty?: boolean | undefined;
  /** Seconds after which the queue gives the job of a silent worker to another. Default 30. */
  readonly leaseSeconds?: number | undefined;
  /** Limits on the time and on the bytes of `.lqa` files: above one, the worker takes no more jobs. Default: no limit. */
  readonly maxSeconds?: number | undefined;
  readonly maxBytes?: number | undefined;
  /** Directory for fetched files. Default: the system's directory for temporary files. */
  readonly scratch?: string | undefined;
  readonly onNotice?: ((text: string) => void) | undefined;
  /** Called at the end of each attempt at a job. */
  readonly onAttempt?: ((attempt: Attempt) => void) | undefined;
}

/** What a worker did. */
export interface WorkDone {
  readonly encoded: number;
  /** Jobs whose result already existed. */
  readonly kept: number;
  /** Jobs that failed for good. */
  readonly failed: number;
  /** Attempts that failed and that the queue will retry. */
  readonly retried: number;
  readonly seconds: number;
  /** Bytes of the `.lqa` files that this worker encoded. */
  readonly bytes: number;
  /** The limit that ended the worker, if one did. */
  readonly limit?: "maxSeconds" | "maxBytes";
}

/**
 * Works until `signal` aborts or, with `untilEmpty`, nothing is left. An error in an adapter, or in an entry of the queue,
 * goes to the list of failures and does not end the worker.
 *
 * @throws LqaError USAGE if no source or no target is allowed; an error that every other job would have: ACCESS_DENIED,
 * MISSING_PACKAGE, a missing bucket, a queue that stays unreachable
 */
export async function workFleet(
  queue: Pick<WorkQueue, "work">,
  stores: Stores,
  options: WorkerOptions,
): Promise<WorkDone> {
  const { concurrency = Math.min(availableParallelism(), MAX_WORKERS), onNotice } = options;
  const allowed: AllowedRoots = {
    sources: rootsOf(options.allow.sources, "source"),
    targets: rootsOf(options.allow.targets, "target"),
  };
  const started = performance.now();
  let ended = false;
  const counts = { encoded: 0, kept: 0, failed: 0, retried: 0, bytes: 0 };
  const { maxSeconds, maxBytes = Number.POSITIVE_INFINITY } = options;
  const enough = new AbortController();
  let limit: WorkDone["limit"];
  const end = (by: WorkDone["limit"]): void => {
    limit ??= by;
    enough.abort();
  };
  // Node's timers last at most 2^31 ms.
  const timer =
    maxSeconds === undefined
      ? undefined
      : setTimeout(end, Math.min(1000 * maxSeconds, 2 ** 31 - 1), "maxSeconds");
  const work = async (scratch: string): Promise<void> => {
    await withWorkers(concurrency, async (executor) => {
      const place: Workplace = {
        stores,
        allowed,
        scratch,
        executor,
        isAbandoned: () => ended,
        onAttempt(attempt) {
          counts[attempt.outcome]++;
          counts.bytes += attempt.bytes ?? 0;
          if (counts.bytes >= maxBytes) end("maxBytes");
          options.onAttempt?.(attempt);
        },
      };
      const { untilEmpty, leaseSeconds } = options;
      const signal = eitherSignal(options.signal, enough.signal);
      const process: Process = (entry, attempt) => performJob(entry, attempt, place);
      const onLost = (entry: QueuedJob, failure: FleetFailure): Promise<void> =>
        recordLost(entry, failure, place);
      try {
        await queue.work(process, { concurrency, signal, untilEmpty, leaseSeconds, onNotice, onLost });
      } finally {
        ended = true;
      }
    });
  };
  // Signals must not remove the temporary directory: a worker that drains still writes to it.
  const listenAgain = options.signal === undefined ? undefined : leaveSignals();
  try {
    await withTemporaryDirectory("lqa-fleet-", ({ path }) => work(path), options.scratch);
  } finally {
    clearTimeout(timer);
    listenAgain?.();
  }
  const seconds = (performance.now() - started) / 1000;
  return { ...counts, seconds, ...(limit === undefined ? {} : { limit }) };
}

function rootsOf(locations: readonly string[], what: string): AllowedRoots["sources"] {
  if (locations.length === 0)
    fail(KIND.USAGE, {
      where: `allowed ${what}s`,
      expected: "s3://bucket/prefix, one at least",
      actual: "none",
      advice: `Say which ${what}s a job may name: --allow-${what} s3://bucket/prefix or $LQA_FLEET_ALLOW_${what.toUpperCase()}.`,
    });
  return locations.map((location) => parseLocation(location, { where: `allowed ${what}` }));
}

/** Records a job that lost all its workers as a failure in its target, if this worker may write there. */
async function recordLost(entry: QueuedJob, failure: FleetFailure, place: Workplace): Promise<void> {
  try {
    const job = allowedJob(entry, place.allowed);
    place.onAttempt?.({ job, outcome: "failed", seconds: 0, failure });
    await writeFailure(await place.stores.open(job.target), job, failure);
  } catch (error) {
    if (!isLqaError(error)) throw error;
  }
}
