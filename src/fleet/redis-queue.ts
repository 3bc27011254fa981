/**
 * A queue in Redis or Valkey, by BullMQ, for any number of machines.
 *
 * BullMQ provides the leases, the retries and the list of failures. Done jobs are removed, so Redis's memory only holds the
 * waiting ones. A broken connection is restored; one that stays down for longer than the patience is an error.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import type { Job, Queue, Worker } from "bullmq";
import type { Redis } from "ioredis";
import * as KIND from "../error-catalogue.ts";
import { fail, LqaError } from "../errors.ts";
import { aborted, pause, within } from "../node/objects/concurrent.ts";
import { optional } from "../node/remote/optional.ts";
import { type FleetFailure, failureOf, lost, parseFailure } from "./failure.ts";
import { nameIn, type QueuedJob } from "./job.ts";
import {
  ATTEMPTS,
  type DeadJob,
  MOST_LOST,
  POLL,
  type Process,
  type QueueCounts,
  type WorkOptions,
  type WorkQueue,
} from "./queue.ts";
import {
  type BullMQ,
  failedPage,
  isSpoiled,
  PAGE,
  restoreEntries,
  SETTINGS,
  textClasses,
} from "./redis-entries.ts";

/** How to connect to Redis. */
export interface RedisOptions {
  /** Name of the queue, to keep several in one Redis. Default `lqa-fleet`. */
  readonly name?: string | undefined;
  /** Seconds that Redis may be unreachable before it is an error. Default 600; at most 10 for the first connection. */
  readonly patienceSeconds?: number | undefined;
}

/** Minutes of history that BullMQ keeps (`HISTORY`), and number of whole minutes in the rate (`RATE`). */
const HISTORY = 60;
const RATE = 5;
/** Lifetime of the announcement of a submission, and interval of its renewal, ms. */
const ANNOUNCED = 30_000;
const RENEWED = 10_000;

/**
 * Opens a queue.
 *
 * @param address `redis://` or `rediss://`
 * @throws LqaError MISSING_PACKAGE without `bullmq` and `ioredis`; NETWORK, ACCESS_DENIED
 */
export async function redisQueue(address: string, options: RedisOptions = {}): Promise<WorkQueue> {
  const { name = "lqa-fleet", patienceSeconds = 600 } = options;
  const [bullmq, { Redis: RedisClass }] = await optional(["bullmq", "ioredis"], () =>
    Promise.all([import("bullmq"), import("ioredis")]),
  );
  const location = withoutPassword(address);
  const { TextQueue, TextWorker } = textClasses(bullmq);
  const connection = new RedisClass(address, {
    maxRetriesPerRequest: null,
    retryStrategy: (times: number) => Math.min(100 * 2 ** Math.min(times, 6), 3000),
  });
  // Workers open more connections to wait on; these too must close if Redis does not come back.
  const connections: Redis[] = [connection];
  const duplicate = connection.duplicate.bind(connection);
  connection.duplicate = (...words) => {
    const another = duplicate(...words);
    connections.push(another);
    return another;
  };
  const patience = watch(connection, location, patienceSeconds);
  await patience.connected();
  const queue = new TextQueue(name, { connection: connection as never, skipMetasUpdate: false });
  queue.on("error", () => {});

  return {
    location,
    async add(jobs) {
      const entries = jobs.map((job) => ({
        name: "encode",
        data: job,
        opts: {
          ...SETTINGS,
          jobId: job.id,
          keepLogs: 0,
          stackTraceLimit: 0,
        },
      }));
      await patience.during(queue.addBulk(entries));
    },
    announce: () => patience.during(announce(connection, announcements(queue))),
    async work(process, work) {
      await runWorker(process, work, { bullmq, TextWorker, name, queue, connection, patience });
    },
    counts: () => patience.during(countsOf(queue)),
    async *failures() {
      for (let start = 0; ; start += PAGE) {
        const page = await patience.during(failedPage(queue, connection, start));
        for (const job of page) if (job !== undefined) yield deadJob(job);
        if (page.length < PAGE) return;
      }
    },
    async retry(codes) {
      let count = 0;
      // Retried jobs leave the list, so the next page begins after those that stayed.
      for (let kept = 0; ; ) {
        const page = await patience.during(failedPage(queue, connection, kept));
        for (const job of page) {
          const meant = job !== undefined && (codes === undefined || codes.has(failureIn(job).code));
          if (meant) {
            await patience.during((job as Job).retry("failed", { resetAttemptsMade: true }));
            count++;
          } else kept++;
        }
        if (page.length < PAGE) return count;
      }
    },
    async close() {
      patience.end();
      await within(2000, queue.close());
      // Closing a connection that has already ended would keep the process alive for two seconds, until its socket times out.
      for (const one of connections) if (one.status !== "end") one.disconnect();
    },
  };
}

/** Converts an entry of BullMQ. */
function entryOf({ id, data }: Job<unknown>): QueuedJob {
  return { id: String(id), text: String(data) };
}

interface Context {
  readonly bullmq: BullMQ;
  readonly TextWorker: typeof Worker<unknown>;
  readonly name: string;
  readonly queue: Queue<unknown>;
  readonly connection: Redis;
  readonly patience: Patience;
}

/** Takes jobs until the signal aborts, the queue is empty (with `untilEmpty`), or a job halts the worker. */
async function runWorker(
  process: Process,
  { concurrency, signal, untilEmpty = false, leaseSeconds = 30, onNotice, onLost }: WorkOptions,
  { bullmq, TextWorker, name, queue, connection, patience }: Context,
): Promise<void> {
  const ending = new AbortController();
  let halted: { readonly error: unknown } | undefined;
  const work = async (job: Job<unknown>, token?: string): Promise<void> => {
    // Without a number from Redis this counts as the last attempt.
    const verdict = await process(entryOf(job), { last: !(job.attemptsMade + 1 < ATTEMPTS) });
    if (verdict.kind === "dead") throw new bullmq.UnrecoverableError(JSON.stringify(verdict.failure));
    if (verdict.kind === "retry") throw new Error(JSON.stringify(verdict.failure));
    if (verdict.kind === "halt") {
      halted ??= { error: verdict.error };
      ending.abort();
      await job.moveToWait(token);
      throw new bullmq.WaitingError();
    }
  };
  const worker = new TextWorker(name, work, {
    connection: connection as never,
    concurrency,
    lockDuration: leaseSeconds * 1000,
    stalledInterval: leaseSeconds * 1000,
    maxStalledCount: MOST_LOST,
    metrics: { maxDataPoints: HISTORY },
    drainDelay: 1,
  });
  // This ignores errors of the connection: its state shows them.
  worker.on("error", (error) => {
    if (isSpoiled(error))
      connection
        .lrange(queue.toKey("active"), 0, -1)
        .then((ids) => restoreEntries(queue, connection, ids))
        .catch(() => {});
  });
  worker.on("failed", (job, error) => {
    if (job === undefined || !isStall(error.message)) return;
    onLost?.(entryOf(job), failureOf(lost(MOST_LOST))).catch(() => {});
  });
  const stop = (): void => ending.abort();
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  try {
    const left = patience.watch(onNotice);
    const end = untilEmpty ? empty(worker, queue, connection, ending.signal) : aborted(ending.signal);
    await Promise.race([left, end]);
  } finally {
    signal?.removeEventListener("abort", stop);
    ending.abort();
    // Without Redis the worker cannot give a job back; its lease expires instead.
    const away = connection.status !== "ready";
    await (away ? within(2000, worker.close(true)) : worker.close());
  }
  if (halted !== undefined) throw halted.error;
}

/** Key of the running submissions, each with the time (of Redis) at which it lapses. */
const announcements = (queue: Queue): string => queue.toKey("submissions");

async function announce(redis: Redis, key: string): Promise<() => Promise<void>> {
  const name = randomUUID();
  const renew = async (): Promise<void> => {
    const at = await now(redis);
    await redis.zadd(key, at + ANNOUNCED, name);
    // Removes submissions that ended without withdrawing.
    await redis.zremrangebyscore(key, "-inf", at);
  };
  await renew();
  // If Redis is briefly unreachable, the next renewal succeeds.
  const timer = setInterval(() => void renew().catch(() => {}), RENEWED);
  timer.unref();
  return async () => {
    clearInterval(timer);
    // Without Redis the announcement lapses instead.
    await within(2000, redis.zrem(key, name)).catch(() => {});
  };
}

/** The time of Redis, ms, because the clocks of machines differ. */
async function now(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return 1000 * Number(seconds) + Number(microseconds) / 1000;
}

/**
 * Resolves once no job is queued or in progress anywhere and no submission is running, or the signal is aborted. Redis counts
 * all states atomically, and a job is always in one of them. The worker polls immediately when it finds no job, and then
 * periodically for the jobs of other workers.
 */
async function empty(worker: Worker, queue: Queue, redis: Redis, signal: AbortSignal): Promise<void> {
  let look = new AbortController();
  worker.on("drained", () => look.abort());
  signal.addEventListener("abort", () => look.abort());
  while (!signal.aborted) {
    await pause(POLL, look.signal);
    look = new AbortController();
    if (signal.aborted) return;
    // In this order: a submission that ends between the two requests has already added its jobs.
    if ((await redis.zcount(announcements(queue), await now(redis), "+inf")) > 0) continue;
    const counts = await queue.getJobCounts("waiting", "prioritized", "delayed", "active");
    if (Object.values(counts).every((count) => count === 0)) return;
  }
}

async function countsOf(queue: Queue): Promise<QueueCounts> {
  const {
    waiting = 0,
    prioritized = 0,
    paused = 0,
    delayed = 0,
    active = 0,
    failed = 0,
  } = await queue.getJobCounts();
  const { meta, data } = await queue.getMetrics("completed", 0, HISTORY);
  return {
    waiting: waiting + prioritized + paused,
    delayed,
    active,
    failed,
    done: Number(meta.count ?? 0),
    perMinute: rateOf(meta, data.map(Number), Date.now()),
  };
}

/**
 * Jobs per minute, from BullMQ's metrics. `data` has one count per whole minute, the last first; BullMQ writes it when the first
 * job of a later minute is done. `meta` has the count until now, and the count and time at which the present minute began.
 */
export function rateOf(
  meta: { readonly count: number; readonly prevTS: number; readonly prevCount: number },
  data: readonly number[],
  at: number,
): number | undefined {
  const [count, began, before] = [meta.count, meta.prevTS, meta.prevCount].map((value) => Number(value ?? 0));
  if (count === 0 || began === 0) return undefined;
  // The start of the first minute is unknown.
  const whole = data.slice(0, Math.min(RATE, data.length - 1));
  const since = whole.length === 0 ? began! : 60_000 * Math.floor(began! / 60_000);
  const minutes = whole.length + Math.max(at - since, 1000) / 60_000;
  return (whole.reduce((sum, done) => sum + done, 0) + count! - before!) / minutes;
}

/** True for BullMQ's text about jobs whose workers ended. */
function isStall(reason: string): boolean {
  return /stalled more than/.test(reason);
}

function failureIn({ failedReason = "" }: { readonly failedReason?: string }): FleetFailure {
  if (isStall(failedReason)) return failureOf(lost(MOST_LOST));
  return parseFailure(failedReason) ?? failureOf(new Error(failedReason));
}

function deadJob(job: Job<unknown>): DeadJob {
  const entry = entryOf(job);
  return { id: entry.id, name: nameIn(entry), failure: failureIn(job) };
}

/** Watches how long a connection is down. */
interface Patience {
  /** Resolves when the first connection is established. */
  connected(): Promise<void>;
  /** The promise, or a rejection once the connection has been down for too long. */
  during<T>(promise: Promise<T>): Promise<T>;
  /** Rejects once the connection has been down for too long; reports when it goes down and comes back. */
  watch(onNotice?: (text: string) => void): Promise<never>;
  end(): void;
}

function watch(connection: Redis, location: string, seconds: number): Patience {
  let awaySince: number | undefined = performance.now();
  const ended = new AbortController();
  let notice: ((text: string) => void) | undefined;
  let reason = "no answer";
  connection.on("error", (error: Error) => {
    reason = (error as NodeJS.ErrnoException).code ?? error.message;
  });
  connection.on("ready", () => {
    if (awaySince !== undefined) notice?.(`${location} is back`);
    awaySince = undefined;
  });
  connection.on("close", () => {
    if (ended.signal.aborted || awaySince !== undefined) return;
    awaySince = performance.now();
    notice?.(`${location} cannot be reached; trying again for ${seconds} s`);
  });
  const gone = (): LqaError =>
    /NOAUTH|WRONGPASS|NOPERM/.test(reason)
      ? new LqaError(KIND.ACCESS_DENIED, { where: location, actual: reason })
      : new LqaError(KIND.NETWORK, {
          where: location,
          actual: reason,
          advice: "Start Redis, or check the address given as --queue.",
        });
  /** Resolves when the signal is aborted; rejects once the connection has been down for this many seconds. */
  const waitFor = async (signal: AbortSignal, most: number): Promise<void> => {
    while (!signal.aborted && !ended.signal.aborted) {
      if (awaySince !== undefined && performance.now() - awaySince > most * 1000) throw gone();
      await pause(100, signal);
    }
  };
  return {
    async connected() {
      const settled = new AbortController();
      connection.once("ready", () => settled.abort());
      connection.on("error", () => /NOAUTH|WRONGPASS/.test(reason) && settled.abort());
      try {
        await waitFor(settled.signal, Math.min(10, seconds));
        if (connection.status !== "ready") throw gone();
        await connection.ping();
      } catch (error) {
        ended.abort();
        connection.disconnect();
        throw error instanceof LqaError ? error : gone();
      }
    },
    async during(promise) {
      const settled = new AbortController();
      const result = promise.finally(() => settled.abort());
      const late = waitFor(settled.signal, seconds).then(() => result);
      late.catch(() => {});
      return await Promise.race([result, late]);
    },
    async watch(onNotice) {
      notice = onNotice;
      await waitFor(ended.signal, seconds);
      return await new Promise<never>(() => {});
    },
    end() {
      ended.abort();
    },
  };
}

/** An address without its credentials, safe to print. @throws LqaError USAGE */
function withoutPassword(address: string): string {
  try {
    const url = new URL(address);
    url.password = "";
    url.username = "";
    return url.href.replace(/\/$/, "");
  } catch (cause) {
    return fail(KIND.USAGE, { where: "--queue", expected: "an address such as redis://host:6379", cause });
  }
}
