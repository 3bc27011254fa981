/**
 * Reads untrusted entries of a BullMQ queue.
 *
 * Anyone who can write to Redis can write anything in place of BullMQ's entries. BullMQ would parse their data while it takes a
 * job, and a parse error there loses the job. So this file keeps the data as text. It replaces the other fields that BullMQ
 * parses when BullMQ fails on them: the entry is active then, and becomes available again after its lease.
 *
 * @module
 */
import type { Job, JobJson, JobsOptions, MinimalQueue, Queue, Worker } from "bullmq";
import type { Redis } from "ioredis";
import { ATTEMPTS, FIRST_PAUSE } from "./queue.ts";

/** BullMQ's options for a job. */
export const SETTINGS: Pick<JobsOptions, "attempts" | "backoff" | "removeOnComplete"> = {
  attempts: ATTEMPTS,
  backoff: { type: "exponential", delay: FIRST_PAUSE },
  removeOnComplete: true,
};

/** Number of failed jobs that are read together. */
export const PAGE = 500;
export type BullMQ = typeof import("bullmq");

/** BullMQ's classes, changed so that the data of a job is the text in Redis. */
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

/** True for the errors that BullMQ throws for an entry whose fields it cannot parse. */
export function isSpoiled(error: unknown): boolean {
  return error instanceof SyntaxError || error instanceof TypeError;
}

/** Replaces the fields of these entries that BullMQ cannot parse. */
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

/** Whether BullMQ can read a field: it is JSON, but not `null`. */
function isReadable(field: string | null | undefined): boolean {
  try {
    return JSON.parse(field || "{}") !== null;
  } catch {
    return false;
  }
}

/** A page of failed jobs, from index `start`. */
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
