/**
 * Entries of a BullMQ queue that anyone may have written.
 *
 * Anyone who can write to Redis can write anything where BullMQ expects its entries. Their data stays a text here, which BullMQ
 * would parse while it takes a job, where an error loses the job. What else BullMQ parses of an entry is replaced once it
 * turns out to be no JSON: the entry is active then, and waits again after its lease.
 *
 * @module
 */
import type { Job, JobJson, JobsOptions, MinimalQueue, Queue, Worker } from "bullmq";
import type { Redis } from "ioredis";
import { ATTEMPTS, FIRST_PAUSE } from "./queue.ts";

/** How BullMQ handles a job. */
export const SETTINGS: Pick<JobsOptions, "attempts" | "backoff" | "removeOnComplete"> = {
  attempts: ATTEMPTS,
  backoff: { type: "exponential", delay: FIRST_PAUSE },
  removeOnComplete: true,
};

/** Failed jobs that are looked at together. */
export const PAGE = 500;
export type BullMQ = typeof import("bullmq");

/** BullMQ's classes, with the data of a job as the text that is in Redis. */
export function textClasses(bullmq: BullMQ): {
  TextQueue: typeof Queue<unknown>;
  TextWorker: typeof Worker<unknown>;
} {
  class TextJob extends bullmq.Job<unknown> {
    static override fromJSON<T, R, N extends string>(
      queue: MinimalQueue,
      json: JobJson,
      id?: string,
    ): Job<T, R, N> {
      const job = bullmq.Job.fromJSON<T, R, N>(queue, { ...json, data: "{}" }, id);
      job.data = json.data as T;
      return job;
    }
  }
  class TextQueue extends bullmq.Queue<unknown> {
    protected override get Job(): typeof Job {
      return TextJob as typeof Job;
    }
  }
  class TextWorker extends bullmq.Worker<unknown> {
    protected override get Job(): typeof Job {
      return TextJob as typeof Job;
    }
  }
  return { TextQueue, TextWorker };
}

/** What BullMQ throws for an entry whose fields it cannot take apart. */
export function isSpoiled(error: unknown): boolean {
  return error instanceof SyntaxError || error instanceof TypeError;
}

/** Replaces what BullMQ parses of these entries where it is not what BullMQ wrote. */
export async function restoreEntries(
  queue: Queue<unknown>,
  connection: Redis,
  ids: readonly string[],
): Promise<void> {
  for (const id of ids) {
    const key = queue.toKey(id);
    const [opts, ...others] = await connection.hmget(key, "opts", "progress", "parent");
    if (!isReadable(opts)) await connection.hset(key, "opts", JSON.stringify(SETTINGS));
    if (!others.every(isReadable)) await connection.hdel(key, "progress", "parent");
  }
}

/** Whether BullMQ can read a field: JSON, and not `null`. */
function isReadable(field: string | null | undefined): boolean {
  try {
    return JSON.parse(field || "{}") !== null;
  } catch {
    return false;
  }
}

/** Failed jobs from the one at `start` on. */
export async function failedPage(
  queue: Queue<unknown>,
  connection: Redis,
  start: number,
): Promise<Job<unknown>[]> {
  const end = start + PAGE - 1;
  try {
    return await queue.getFailed(start, end);
  } catch (error) {
    if (!isSpoiled(error)) throw error;
    await restoreEntries(queue, connection, await connection.zrevrange(queue.toKey("failed"), start, end));
    return await queue.getFailed(start, end);
  }
}
