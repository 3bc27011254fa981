/**
 * A worker: takes jobs of a queue and does them until it is told to stop, which it does when those it has are done.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { forgetTemporary, leaveSignals, registerTemporary } from "../io/temporary.ts";
import { MAX_WORKERS, withWorkers } from "../workers/pool.ts";
import type { FleetFailure, FleetJob } from "./job.ts";
import type { Stores } from "./open-store.ts";
import { performJob, type Workplace } from "./perform.ts";
import type { Process, WorkQueue } from "./queue.ts";
import { writeFailure } from "./records.ts";

/** How a worker works. */
export interface WorkerOptions {
  /** Jobs at the same time, and threads that encode. Default: one for each core. */
  readonly concurrency?: number | undefined;
  /** Once aborted, no job is taken any more; those in work are finished. */
  readonly signal?: AbortSignal | undefined;
  /** Ends when nothing waits and nothing is in work. Default false. */
  readonly untilEmpty?: boolean | undefined;
  /** Seconds after which a job of a worker that went silent is given to another. Default 30. */
  readonly leaseSeconds?: number | undefined;
  /** Directory for what is fetched. Default: that of the system for temporary files. */
  readonly scratch?: string | undefined;
  readonly onNotice?: ((text: string) => void) | undefined;
  readonly onDone?: Workplace["onDone"];
  readonly onFailed?: Workplace["onFailed"];
}

/** What a worker did. */
export interface WorkDone {
  readonly encoded: number;
  /** Done already. */
  readonly kept: number;
  /** Failed for good. */
  readonly failed: number;
  /** Attempts that failed and will be made again. */
  readonly retried: number;
  readonly seconds: number;
}

/**
 * Works until `signal` is aborted or, with `untilEmpty`, nothing is left. What is wrong with an adapter is in the list of
 * failures and ends nothing.
 *
 * @throws LqaError what no other job would escape: ACCESS_DENIED, MISSING_PACKAGE, a bucket that is not there, a queue that stays away
 */
export async function workFleet(
  queue: WorkQueue,
  stores: Stores,
  options: WorkerOptions = {},
): Promise<WorkDone> {
  const { concurrency = Math.min(availableParallelism(), MAX_WORKERS), onNotice } = options;
  const started = performance.now();
  let ended = false;
  const counts = { encoded: 0, kept: 0, failed: 0, retried: 0 };
  const scratch = await mkdtemp(join(options.scratch ?? tmpdir(), "lqa-fleet-"));
  registerTemporary(scratch);
  // A worker that drains still writes.
  const listenAgain = options.signal === undefined ? undefined : leaveSignals();
  try {
    await withWorkers(concurrency, async (executor) => {
      const place: Workplace = {
        stores,
        scratch,
        executor,
        isAbandoned: () => ended,
        onDone(job, kept) {
          counts[kept ? "kept" : "encoded"]++;
          options.onDone?.(job, kept);
        },
        onFailed(job, failure, last) {
          counts[last ? "failed" : "retried"]++;
          options.onFailed?.(job, failure, last);
        },
      };
      const onLost = async (job: FleetJob, failure: FleetFailure): Promise<void> => {
        place.onFailed?.(job, failure, true);
        await writeFailure(await stores.open(job.target), job, failure);
      };
      const { signal, untilEmpty, leaseSeconds } = options;
      const process: Process = (job, attempt) => performJob(job, attempt, place);
      try {
        await queue.work(process, { concurrency, signal, untilEmpty, leaseSeconds, onNotice, onLost });
      } finally {
        ended = true;
      }
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
    forgetTemporary(scratch);
    listenAgain?.();
  }
  return { ...counts, seconds: (performance.now() - started) / 1000 };
}
