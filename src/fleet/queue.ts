/**
 * What the fleet requires of a queue: jobs by id, leases that end with their worker, a list of jobs that failed for good.
 *
 * A queue does not interpret its entries: they are texts, and the worker parses them with `parseJob`.
 *
 * @module
 */
import type { FleetFailure } from "./failure.ts";
import type { FleetJob, QueuedJob } from "./job.ts";

/** The outcome of one attempt at a job. */
export type Verdict =
  | { readonly kind: "done" }
  /** The failure may be temporary: the queue retries the job later, a bounded number of times. */
  | { readonly kind: "retry"; readonly failure: FleetFailure }
  /** The failure is final: the job goes to the list of failures. */
  | { readonly kind: "dead"; readonly failure: FleetFailure }
  /** The failure does not concern this job: the job goes back and the worker ends with this error. */
  | { readonly kind: "halt"; readonly error: unknown };

/** One attempt at an untrusted entry. Never rejects. */
export type Process = (entry: QueuedJob, attempt: { readonly last: boolean }) => Promise<Verdict>;

/** How a worker takes jobs. */
export interface WorkOptions {
  /** Number of concurrent jobs. */
  readonly concurrency: number;
  /** When it aborts, the worker takes no more jobs and finishes those in progress. */
  readonly signal?: AbortSignal | undefined;
  /** Ends when no job is queued or in progress anywhere and no submission is running. */
  readonly untilEmpty?: boolean | undefined;
  /** Seconds after which the queue gives the job of a silent worker to another. */
  readonly leaseSeconds?: number | undefined;
  /** Called with texts about the queue itself, for the operator. */
  readonly onNotice?: ((text: string) => void) | undefined;
  /** Called for entries that failed because their workers ended. */
  readonly onLost?: ((entry: QueuedJob, failure: FleetFailure) => Promise<void>) | undefined;
}

/** Number of jobs in each state. */
export interface QueueCounts {
  readonly waiting: number;
  /** Waiting for the next attempt. */
  readonly delayed: number;
  readonly active: number;
  readonly failed: number;
  /** Total since the queue was created. */
  readonly done: number;
  /** Jobs done per minute, over the last minutes, including idle ones; undefined before the first job is done. */
  readonly perMinute: number | undefined;
}

/** A job that failed for good. */
export interface DeadJob {
  readonly id: string;
  /** Name of the adapter; for an invalid entry, the id. */
  readonly name: string;
  readonly failure: FleetFailure;
}

/** A queue of the fleet. Methods throw LqaError: NETWORK if the queue is unreachable for longer than its patience, IO. */
export interface WorkQueue {
  /** Address without user name and password. */
  readonly location: string;
  /** Adds jobs. A job whose id is already in the queue, even as a failed one, is not changed. */
  add(jobs: readonly FleetJob[]): Promise<void>;
  /**
   * Announces that a submission is running: workers that end with an empty queue wait for it. If the process ends without
   * withdrawing the announcement, it lapses after half a minute.
   *
   * @returns a function that withdraws it; it never rejects, and waits at most two seconds for an unreachable queue
   */
  announce(): Promise<() => Promise<void>>;
  /** Takes jobs until `signal` aborts or, with `untilEmpty`, no job is left. */
  work(process: Process, options: WorkOptions): Promise<void>;
  counts(): Promise<QueueCounts>;
  failures(): AsyncIterable<DeadJob>;
  /** Puts failed jobs back: all, or those with one of these codes. Resolves to their number. */
  retry(codes?: ReadonlySet<string>): Promise<number>;
  close(): Promise<void>;
}

/** Most attempts at a job with temporary failures. */
export const ATTEMPTS = 5;
/** Pause before the second attempt, ms; it doubles with each. */
export const FIRST_PAUSE = 2000;
/** Number of workers that a job may lose. A job that loses more is probably what ends them. */
export const MOST_LOST = 3;
/** Interval at which an idle worker polls the queue, ms. */
export const POLL = 200;
