/**
 * A fleet on a real Redis and a real S3 server: workers killed, Redis restarted and away, S3 throttling, cutting and slow,
 * a clock that jumps, wrong credentials.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createStores, openObjects, openQueue, type WorkQueue, workFleet } from "../../src/fleet/index.ts";
import { lqaIn } from "../helpers/cli.ts";
import {
  encodedAlone,
  results,
  SETTINGS_WORDS,
  start,
  until,
  writeAdapters,
  writePoison,
} from "../helpers/many.ts";
import { findRedis, findS3, startRedis, startS3 } from "../helpers/servers.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { startProxy } from "./flaky-proxy.ts";

const programs = { redis: findRedis(), s3: findS3() };
const missing = programs.redis === undefined || programs.s3 === undefined;
if (missing)
  console.log("skipped: fleets on Redis and S3: set LQA_REDIS to redis-server, LQA_S3 to versitygw");

describe.skipIf(missing)("a fleet on Redis and S3", async () => {
  if (missing) return;
  const [redis, s3] = [await startRedis(programs.redis!), await startS3(programs.s3!)];
  const proxy = await startProxy(s3.port);
  Object.assign(process.env, s3.env, { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" });
  const base = temporaryDirectory();
  const names = writeAdapters(s3.folder("source"), 12);
  const expected = await encodedAlone(s3.folder("source"), join(base, "alone"));

  let fleets = 0;
  /** A queue and a target of their own. */
  const fleet = (endpoint = s3.endpoint) => {
    const name = `fleet-${fleets++}`;
    const target = `s3://target/${name}`;
    const queue = ["--queue", redis.url, "--queue-name", name];
    const allow = { LQA_FLEET_ALLOW_SOURCE: "s3://source,s3://target/bad", LQA_FLEET_ALLOW_TARGET: target };
    const env = { ...s3.env, ...allow, AWS_ENDPOINT_URL_S3: endpoint };
    // Waits for the process, as the proxy in this one must not: it gets no requests.
    const run = (...words: string[]) => lqaIn({ env: s3.env }, "fleet", ...words);
    return {
      name,
      target,
      queue,
      env,
      made: () => results(join(s3.folder("target"), name)),
      submit: (...words: string[]) =>
        run("submit", "s3://source/", "--to", target, ...queue, ...SETTINGS_WORDS, "--json", ...words),
      work: (...words: string[]) =>
        start(["fleet", "work", ...queue, "--lease", "5", "--json", ...words], env),
      status: () => run("status", ...queue, "--json").json<Record<string, unknown>>(),
      verify: () => run("verify", target, "--json"),
      open: (): Promise<WorkQueue> => openQueue(redis.url, { name }),
    };
  };
  /** Workers until the queue is empty. */
  const finish = async ({ work }: ReturnType<typeof fleet>, count = 1): Promise<Record<string, number>[]> => {
    const workers = Array.from({ length: count }, () => work("--until-empty"));
    for (const worker of workers) await worker.ended;
    return workers.map((worker) => JSON.parse(worker.out()));
  };
  const whole = (one: ReturnType<typeof fleet>): void => {
    expect(one.made()).toEqual(expected);
    expect(one.verify().json()).toMatchObject({
      files: 12,
      valid: 12,
      unrecorded: 0,
      missing: 0,
      findings: [],
    });
  };

  it("gives the bytes of a single process, and nothing to do the second time", {
    timeout: 300_000,
  }, async () => {
    const one = fleet();
    expect(one.submit().json()).toMatchObject({ found: 12, queued: 12 });
    const done = await finish(one, 2);
    expect(done.reduce((sum, { encoded }) => sum + encoded!, 0)).toBe(12);
    whole(one);
    expect(one.submit().json()).toMatchObject({ found: 12, queued: 0, kept: 12 });
    expect(one.status()).toMatchObject({ waiting: 0, active: 0, delayed: 0, failed: 0, done: 12 });
    const report = lqaIn({ env: one.env }, "fleet", "report", one.target, "--json");
    expect(report.json()).toMatchObject({ results: 12, failures: 0 });
  });

  it("loses nothing when workers are killed and Redis is restarted", { timeout: 300_000 }, async () => {
    const one = fleet();
    one.submit();
    const queue = await one.open();
    for (let round = 0; round < 3; round++) {
      const { done } = await queue.counts();
      const workers = [one.work("--concurrency", "2"), one.work("--concurrency", "2")];
      await until(async () => (await queue.counts()).done > done);
      await new Promise((resolve) => setTimeout(resolve, 60 * Math.random()));
      workers[0]!.child.kill("SIGKILL");
      if (round === 1) await redis.restart(300);
      workers[1]!.child.kill("SIGKILL");
      for (const worker of workers) expect((await worker.ended).signal).toBe("SIGKILL");
      if ((await queue.counts()).done >= 10) break;
    }
    await finish(one);
    whole(one);
    expect(one.status()).toMatchObject({ waiting: 0, active: 0, delayed: 0, failed: 0 });
    await queue.close();
  });

  it("waits for a Redis that is away, and goes on", { timeout: 300_000 }, async () => {
    const one = fleet();
    one.submit();
    const queue = await one.open();
    const worker = one.work("--until-empty");
    await until(async () => (await queue.counts()).done > 1);
    await queue.close();
    await redis.stop();
    await until(() => worker.err().includes("cannot be reached"));
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect(worker.child.exitCode).toBeNull();
    await redis.start();
    expect((await worker.ended).code).toBe(0);
    expect(worker.err()).toContain("is back");
    whole(one);
  });

  it("gives up on a Redis that stays away, and says where it looked", { timeout: 300_000 }, async () => {
    const one = fleet();
    one.submit();
    const worker = one.work("--patience", "1");
    const queue = await one.open();
    await until(async () => (await queue.counts()).done > 0);
    await queue.close();
    await redis.stop();
    const ended = await worker.ended;
    // The others need it.
    const nowhere = lqaIn(
      { env: one.env },
      "fleet",
      "work",
      "--queue",
      redis.url,
      "--patience",
      "1",
      "--json",
    );
    await redis.start();
    expect(nowhere.code).toBe(2);
    expect(nowhere.json<{ error: object }>().error).toMatchObject({ kind: "NETWORK", where: redis.url });
    expect(ended.code).toBe(2);
    expect(worker.out()).toContain("LQA-X009");
    await finish(one);
    whole(one);
  });

  it("gets through throttling, cut bodies, slow and lost answers", { timeout: 300_000 }, async () => {
    const one = fleet(proxy.endpoint);
    const mischiefs = ["throttle", "cut", "slow", "lose-answer", "cut-upload"] as const;
    let state = 1;
    proxy.decide = (_number, method) => {
      state = (Math.imul(state, 1103515125) + 12345) >>> 0;
      const one = mischiefs[(state >>> 16) % 20];
      if (one === "cut") return method === "GET" ? one : undefined;
      if (one === "cut-upload" || one === "lose-answer") return method === "PUT" ? one : undefined;
      return one;
    };
    // The proxy is in this process, which must not wait for another one.
    const words = ["fleet", "submit", "s3://source/", "--to", one.target, ...one.queue, ...SETTINGS_WORDS];
    const submission = start([...words, "--json"], one.env);
    expect(await submission.ended).toEqual({ code: 0, signal: null });
    expect(JSON.parse(submission.out())).toMatchObject({ queued: 12 });
    const [done] = await finish(one);
    proxy.decide = () => undefined;
    expect(done).toMatchObject({ failed: 0 });
    whole(one);
    for (const kind of ["throttle", "cut", "slow"] as const)
      expect(proxy.done[kind], kind).toBeGreaterThan(0);
    expect(proxy.done["lose-answer"] + proxy.done["cut-upload"]).toBeGreaterThan(0);
  });

  it("gives up on an S3 that only throttles, and does the rest when asked again", {
    timeout: 300_000,
  }, async () => {
    const one = fleet();
    one.submit();
    const options = { s3: { endpoint: proxy.endpoint, attempts: 2 } };
    // Reading one adapter fails for good; nobody else notices.
    proxy.decide = (_number, method, path) =>
      method === "GET" && path.includes(names[5]!) && path.startsWith("/source") ? "throttle" : undefined;
    const [queue, stores] = [await one.open(), createStores(options)];
    const allow = { sources: ["s3://source"], targets: [one.target] };
    const work = workFleet(queue, stores, { allow, concurrency: 1, untilEmpty: true, leaseSeconds: 5 });
    expect(await work).toMatchObject({ encoded: 11, failed: 1, retried: 4 });
    proxy.decide = () => undefined;
    expect(one.status()).toMatchObject({
      failed: 1,
      failures: [{ code: "LQA-X009", kind: "NETWORK", example: names[5] }],
    });
    expect(await queue.retry(new Set(["LQA-X001"]))).toBe(0);
    expect(await queue.retry(new Set(["LQA-X009"]))).toBe(1);
    await queue.close();
    await stores.close();
    await finish(one);
    whole(one);
  });

  it("stops at what only a person can change, and keeps every job", { timeout: 300_000 }, async () => {
    const one = fleet();
    one.submit();
    const wrong = start(["fleet", "work", ...one.queue, "--json"], {
      ...one.env,
      AWS_SECRET_ACCESS_KEY: "wrong",
    });
    expect((await wrong.ended).code).toBe(2);
    expect(JSON.parse(wrong.out()).error).toMatchObject({ code: "LQA-X020", kind: "ACCESS_DENIED" });
    expect(one.status()).toMatchObject({ waiting: 12, active: 0, failed: 0 });
    const bucket = lqaIn(
      { env: one.env },
      "fleet",
      "submit",
      "s3://absent/",
      "--to",
      one.target,
      ...one.queue,
      "--json",
    );
    expect(bucket.code).toBe(2);
    expect(bucket.json<{ error: object }>().error).toMatchObject({ kind: "NOT_FOUND", expected: "a bucket" });
    const words = [
      "fleet",
      "submit",
      "s3://source/",
      "--to",
      "s3://absent/x",
      ...one.queue,
      ...SETTINGS_WORDS,
      "--json",
    ];
    expect(lqaIn({ env: one.env }, ...words).json<{ error: object }>().error).toMatchObject({
      kind: "NOT_FOUND",
    });
    await finish(one);
    whole(one);
  });

  it("lists poison with its codes and does the others", { timeout: 300_000 }, async () => {
    const one = fleet();
    const bad = join(s3.folder("source"), "..", "target", "bad");
    cpSync(join(s3.folder("source"), names[0]!), join(bad, "good"), { recursive: true });
    mkdirSync(join(bad, "flat"));
    for (let i = 0; i < 10; i++) writePoison(join(bad, "flat", `poison-${i}.safetensors`));
    const submit = lqaIn(
      { env: one.env },
      "fleet",
      "submit",
      "s3://target/bad",
      "--to",
      one.target,
      ...one.queue,
      ...SETTINGS_WORDS,
      "--json",
    );
    expect(submit.json()).toMatchObject({ found: 11, queued: 11 });
    expect(await finish(one)).toMatchObject([{ encoded: 1, failed: 10, retried: 0 }]);
    expect(one.status()).toMatchObject({ failed: 10, failures: [{ code: "LQA-U008", count: 10 }] });
    const queue = await one.open();
    expect(await queue.retry()).toBe(10);
    expect(await queue.counts()).toMatchObject({ waiting: 10, failed: 0 });
    await queue.close();
  });

  it("finishes what it has begun on SIGTERM", { timeout: 300_000 }, async () => {
    const one = fleet();
    one.submit();
    const queue = await one.open();
    const worker = one.work("--concurrency", "2", "--log", "json");
    await until(async () => (await queue.counts()).done > 1);
    worker.child.kill("SIGTERM");
    expect(await worker.ended).toEqual({ code: 0, signal: null });
    const counts = await queue.counts();
    // A line of its log for each job.
    const log = worker
      .err()
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line));
    expect(log).toHaveLength(counts.done);
    for (const line of log)
      expect(line).toMatchObject({ outcome: "encoded", worker: expect.stringMatching(/:\d+$/), error: null });
    expect(new Set(log.map(({ adapter }) => `${adapter}.lqa`))).toEqual(new Set(one.made().keys()));
    for (const { adapter, bytes } of log) expect(bytes).toBe(one.made().get(`${adapter}.lqa`)!.length);
    expect(counts).toMatchObject({ active: 0, failed: 0, done: JSON.parse(worker.out()).encoded });
    expect(counts.done + counts.waiting).toBe(12);
    expect(one.made().size).toBe(counts.done);
    await queue.close();
  });

  it("serves metrics, and a worker with a limit leaves the rest to others", {
    timeout: 300_000,
  }, async () => {
    const one = fleet();
    const worker = one.work("--metrics", "127.0.0.1:0", "--max-bytes", "1KB");
    const address = () => /metrics at (\S+)/.exec(worker.err())?.[1];
    await until(() => address() !== undefined);
    const text = async () => await (await fetch(address()!)).text();
    expect(await text()).toMatch(/^lqa_fleet_queue_up 1$/m);
    one.submit();
    expect((await worker.ended).code).toBe(0);
    const done = JSON.parse(worker.out());
    expect(done).toMatchObject({ limit: "maxBytes", failed: 0 });
    expect(done.bytes).toBeGreaterThanOrEqual(1000);
    expect(done.encoded).toBeLessThan(12);
    expect(worker.err()).toContain("ended by --max-bytes");
    const late = one.work("--max-seconds", "1");
    expect((await late.ended).code).toBe(0);
    expect(late.err()).toContain("ended by --max-seconds");
    await finish(one);
    whole(one);
  });

  it("is not confused by clocks that jump", { timeout: 300_000 }, async () => {
    const one = fleet();
    one.submit();
    const clock = fileURLToPath(new URL("jumping-clock.mjs", import.meta.url));
    const words = ["fleet", "work", ...one.queue, "--lease", "5", "--until-empty", "--json"];
    const jumping = start(words, one.env, ["--import", clock]);
    const steady = one.work("--until-empty");
    expect((await jumping.ended).code).toBe(0);
    expect((await steady.ended).code).toBe(0);
    whole(one);
    expect(one.status()).toMatchObject({ waiting: 0, active: 0, delayed: 0, failed: 0 });
  });

  it("finds results that were damaged or are gone", async () => {
    const one = fleet();
    one.submit();
    await finish(one);
    const place = join(s3.folder("target"), one.name);
    const path = join(place, `${names[3]}.lqa`);
    const bytes = readFileSync(path);
    bytes[bytes.length - 100]! ^= 1;
    writeFileSync(path, bytes);
    const store = await openObjects(one.target);
    await store.remove(`${names[4]}.lqa`);
    await store.close();
    const run = one.verify();
    expect(run.code).toBe(1);
    const { findings } = run.json<{ findings: { key: string }[] }>();
    expect(findings.map(({ key }) => key)).toEqual([`${names[3]}.lqa`, `${names[4]}.lqa`]);
    // What is gone is made again, and nothing else.
    expect(one.submit().json()).toMatchObject({ queued: 1, kept: 11 });
  }, 300_000);
});
