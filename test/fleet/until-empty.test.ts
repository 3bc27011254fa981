/** A worker that is to end when nothing is left: not before, and not long after. */
import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { type FleetJob, openQueue, type Verdict, type WorkQueue } from "../../src/fleet/index.ts";
import { rateOf } from "../../src/fleet/redis-queue.ts";
import { FIRST_PAUSE, jobOf } from "../helpers/memory-fleet.ts";
import { findRedis, startRedis } from "../helpers/servers.ts";

const program = findRedis();
if (program === undefined) console.log("skipped: ends of workers on Redis: set LQA_REDIS to redis-server");
const redis = program === undefined ? undefined : await startRedis(program);

let queues = 0;
const DONE: Verdict = { kind: "done" };
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe.skipIf(redis === undefined)("a worker that ends when Redis is empty", () => {
  const open = async (name: string): Promise<WorkQueue> => await openQueue(redis!.url, { name });
  const jobs = (count: number): FleetJob[] =>
    Array.from({ length: count }, (_, i) =>
      jobOf(
        "s3://in",
        "s3://out",
        { name: `adapter-${i}`, files: [{ key: `${i}.bin`, size: 1, version: "" }], resumeAfter: "" },
        {},
      ),
    );
  /** A queue with so many jobs, as two workers see it. */
  const filled = async (count: number): Promise<[WorkQueue, WorkQueue]> => {
    const name = `queue-${queues++}`;
    const [one, other] = [await open(name), await open(name)];
    await one.add(jobs(count));
    return [one, other];
  };

  it("ends at once where there is nothing, and after the last of several at a time", async () => {
    const [one, other] = await filled(0);
    await one.work(async () => DONE, { concurrency: 3, untilEmpty: true });
    await one.add(jobs(7));
    let done = 0;
    const work = async (): Promise<Verdict> => {
      await pause(20 * (done % 3));
      done++;
      return DONE;
    };
    await one.work(work, { concurrency: 3, untilEmpty: true });
    expect(done).toBe(7);
    await Promise.all([one.close(), other.close()]);
  });

  it("waits for a job that another worker has", async () => {
    const [one, other] = await filled(1);
    const stop = new AbortController();
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const begun = new Promise<void>((resolve) => {
      void one.work(
        async () => {
          resolve();
          await held;
          return DONE;
        },
        { concurrency: 1, signal: stop.signal },
      );
    });
    await begun;
    let ended = false;
    const waiting = other
      .work(async () => DONE, { concurrency: 1, untilEmpty: true })
      .then(() => {
        ended = true;
      });
    await pause(1500);
    expect(ended).toBe(false);
    release();
    await waiting;
    expect(await other.counts()).toMatchObject({ waiting: 0, active: 0, delayed: 0, done: 1 });
    stop.abort();
    await Promise.all([one.close(), other.close()]);
  });

  it("waits for a submission that is under way", async () => {
    const [one, other] = await filled(0);
    const withdraw = await one.announce();
    let done = 0;
    let ended = false;
    const work = async (): Promise<Verdict> => {
      done++;
      return DONE;
    };
    const waiting = other.work(work, { concurrency: 1, untilEmpty: true }).then(() => {
      ended = true;
    });
    await pause(1000);
    expect(ended).toBe(false);
    await one.add(jobs(2));
    await withdraw();
    await waiting;
    expect(done).toBe(2);
    await Promise.all([one.close(), other.close()]);
  });

  it("forgets submissions that ended without withdrawing, and withdraws without Redis", async () => {
    const own = await startRedis(program!);
    const queue = await openQueue(own.url);
    const other = new Redis(own.url);
    await other.zadd("bull:lqa-fleet:submissions", 1, "long ago");
    const withdraw = await queue.announce();
    expect(await other.zcard("bull:lqa-fleet:submissions")).toBe(1);
    other.disconnect();
    await own.stop();
    const begin = performance.now();
    await withdraw();
    expect(performance.now() - begin).toBeLessThan(10_000);
    await queue.close();
  });

  it("waits for a job that is to be tried again", async () => {
    const [one, other] = await filled(1);
    const times: number[] = [];
    const failure = { code: "LQA-X009", kind: "NETWORK", message: "no answer", advice: "" };
    const work = async (): Promise<Verdict> => {
      times.push(performance.now());
      return times.length === 1 ? { kind: "retry", failure } : DONE;
    };
    const ends = [one, other].map(async (queue) => {
      await queue.work(work, { concurrency: 1, untilEmpty: true });
      expect(times.length).toBe(2);
    });
    await Promise.all(ends);
    // Timers of the queue and of this process need not agree to the millisecond.
    expect(times[1]! - times[0]!).toBeGreaterThan(FIRST_PAUSE / 2);
    await Promise.all([one.close(), other.close()]);
  });
});

describe("the rate", () => {
  const minute = 60_000;
  const at = 1000 * minute;
  const meta = (count: number, prevCount: number, ago: number) => ({ count, prevCount, prevTS: at - ago });

  it("counts the present minute, and whole ones, idle ones included", () => {
    expect(rateOf(meta(0, 0, 0), [], at)).toBeUndefined();
    // Begun half a minute ago.
    expect(rateOf(meta(30, 0, 0.5 * minute), [], at)).toBe(60);
    // The first minute is left out: nobody knows when it began.
    expect(rateOf(meta(130, 100, 0), [40, 60], at + 30_000)).toBe((40 + 30) / 1.5);
    expect(rateOf(meta(100, 100, 0), [10, 0, 0, 20, 0, 70], at)).toBeCloseTo(30 / (5 + 1 / 60), 9);
  });

  it("falls while nothing is done", () => {
    const rate = (ago: number) => rateOf(meta(60, 0, ago), [], at)!;
    expect(rate(60 * minute)).toBe(1);
    expect(rate(minute)).toBe(60);
  });
});
