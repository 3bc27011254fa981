/**
 * What the fleet asks of a queue: jobs by id, leases that end with their worker, a list of what failed for good.
 *
 * A queue does not look into its entries: they are texts, and `parseJob` reads them where they are worked on.
 *
 * @module
 */
import type { FleetFailure } from "./failure.ts";
import type { FleetJob, QueuedJob } from "./job.ts";

/** What became of one attempt at a job. */
export type Verdict =
  | { readonly kind: "done" }
  /** It may pass: the queue retries it later, a bounded number of times. */
  | { readonly kind: "retry"; readonly failure: FleetFailure }
  /** It will not pass: the job goes onto the list of failures. */
  | { readonly kind: "dead"; readonly failure: FleetFailure }
  /** It is not about this job: the job goes back and the worker ends with this error. */
  | { readonly kind: "halt"; readonly error: unknown };

/** One attempt at an entry, which may be anything. Never rejects. */
export type Process = (entry: QueuedJob, attempt: { readonly last: boolean }) => Promise<Verdict>;

/** How a worker takes jobs. */
export interface WorkOptions {
  /** Jobs at the same time. */
  readonly concurrency: number;
  /** Once aborted, no job is taken any more; those in work are finished. */
  readonly signal?: AbortSignal | undefined;
  /** Ends when there is no job queued or in progress anywhere and no submission is running. */
  readonly untilEmpty?: boolean | undefined;
  /** Seconds after which a job of a worker that went silent is given to another. */
  readonly leaseSeconds?: number | undefined;
  /** Called with what a person should know about the queue itself. */
  readonly onNotice?: ((text: string) => void) | undefined;
  /** Called for entries that failed because their workers ended. */
  readonly onLost?: ((entry: QueuedJob, failure: FleetFailure) => Promise<void>) | undefined;
}

/** How many jobs are in which state. */
export interface QueueCounts {
  readonly waiting: number;
  /** Waiting for their next attempt. */
  readonly delayed: number;
  readonly active: number;
  readonly failed: number;
  /** Done since the queue exists. */
  readonly done: number;
  /** Jobs done per minute, over the last minutes, idle ones included; undefined while nothing is known. */
  readonly perMinute: number | undefined;
}

/** A job that failed for good. */
export interface DeadJob {
  readonly id: string;
  /** Of the adapter, or the id again for an entry that is no job. */
  readonly name: string;
  readonly failure: FleetFailure;
}

/** A queue of the fleet. Methods throw LqaError: NETWORK if it is not there for longer than its patience, IO. */
export interface WorkQueue {
  /** Without password. */
  readonly location: string;
  /** Adds jobs; one whose id is in the queue already, failed ones included, is left as it is. */
  add(jobs: readonly FleetJob[]): Promise<void>;
  /**
   * Announces that a submission is running: workers that end with an empty queue wait for it. The announcement lapses half a
   * minute after its process ended without withdrawing it.
   *
   * @returns withdraws it; never rejects, and waits at most two seconds for an unreachable queue
   */
  announce(): Promise<() => Promise<void>>;
  /** Takes jobs until `signal` is aborted or, with `untilEmpty`, there are none. */
  work(process: Process, options: WorkOptions): Promise<void>;
  counts(): Promise<QueueCounts>;
  failures(): AsyncIterable<DeadJob>;
  /** Puts failed jobs back, all or those with one of these codes. Resolves to how many. */
  retry(codes?: ReadonlySet<string>): Promise<number>;
  close(): Promise<void>;
}

/** Attempts at a job whose failures may pass. */
export const ATTEMPTS = 5;
/** Pause before the second attempt, ms; it doubles with each. */
export const FIRST_PAUSE = 2000;
/** Workers that may end while they have a job; then the job is what ends them. */
export const MOST_LOST = 3;
/** How often a queue that has nothing for a worker is looked at, ms. */
export const POLL = 200;
