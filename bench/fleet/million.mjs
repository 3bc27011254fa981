// A million jobs through a real Redis: submitted as `lqa fleet submit` does, taken as `lqa fleet work` does, with nothing to
// do. Shows that memory stays flat and time is linear, and what the queue costs a job.
//
// With --seconds each job takes as long, in which its worker waits: so one machine can have a thousand workers, each with its own
// connections, and what they lose to the queue shows. They share --processes.
//
// node bench/fleet/million.mjs [--jobs 1000000] [--workers 2] [--max-waiting 10000] [--json file]
// node bench/fleet/million.mjs --jobs 30000 --workers 1000 --seconds 10 --processes 4
import { fork } from "node:child_process";
import { once, setMaxListeners } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Redis } from "ioredis";
import { openQueue, submitFleet } from "../../dist/fleet/index.js";
import { nameOf } from "./generate.mjs";
import { redis } from "./servers.mjs";

if (process.argv[2] === "--workers") {
  const [address, count, seconds] = process.argv.slice(3);
  const queues = [];
  for (let i = 0; i < Number(count); i++) queues.push(await openQueue(address));
  // Workers are at times faster than the submitter, so that an empty queue is not the end.
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  process.once("message", () => stop.abort());
  const job = async () => {
    if (Number(seconds) > 0) await setTimeout(1000 * Number(seconds));
    return { kind: "done" };
  };
  const concurrency = Number(seconds) > 0 ? 1 : 32;
  await Promise.all(queues.map((queue) => queue.work(job, { concurrency, signal: stop.signal })));
  process.send({ cpu: process.cpuUsage(), rss: peak() });
  await Promise.all(queues.map((queue) => queue.close()));
  process.disconnect();
} else await main();

/** Most memory of this process so far, MiB. */
function peak() {
  const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}

async function main() {
  const { values } = parseArgs({
    options: {
      jobs: { type: "string", default: "1000000" },
      workers: { type: "string", default: "2" },
      processes: { type: "string" },
      seconds: { type: "string", default: "0" },
      "max-waiting": { type: "string", default: "10000" },
      json: { type: "string" },
    },
  });
  const [jobs, workers, maxWaiting, secondsEach] = [
    values.jobs,
    values.workers,
    values["max-waiting"],
    values.seconds,
  ].map(Number);
  const processes = Number(values.processes ?? workers);
  const folder = mkdtempSync(join(tmpdir(), "lqa-million-"));
  const server = await redis(folder);
  const client = new Redis(server.url);
  const memory = async () => Number(/used_memory:(\d+)/.exec(await client.info("memory"))[1]) / 2 ** 20;
  // What a bucket would list; nothing is done yet, and nothing is ever there.
  const store = {
    location: "s3://stub/in",
    async *list() {
      for (let i = 0; i < jobs; i++)
        for (const [name, size] of [
          ["adapter_config.json", 600],
          ["adapter_model.safetensors", 3_700_000],
        ])
          yield { key: `${nameOf(i)}/${name}`, size, version: `"${i.toString(16).padStart(32, "0")}"` };
    },
    head: async () => undefined,
    read: async () => undefined,
    put: async () => "written",
    digest: async () => undefined,
    remove: async () => {},
    close: async () => {},
  };
  const stores = { open: async () => store, close: async () => {} };
  const queue = await openQueue(server.url);
  // Memory of jobs that wait, without workers.
  const empty = await memory();
  const first = Math.min(jobs, maxWaiting);
  const rows = [];
  const begin = performance.now();
  let children = [];
  let bytesPerJob;
  const startWorkers = async () => {
    bytesPerJob = (((await memory()) - empty) * 2 ** 20) / first;
    children = Array.from({ length: processes }, (_, i) => {
      const own = Math.floor((workers * (i + 1)) / processes) - Math.floor((workers * i) / processes);
      return fork(fileURLToPath(import.meta.url), ["--workers", server.url, `${own}`, `${secondsEach}`]);
    });
    return children.map((child) => once(child, "message"));
  };
  let results;
  let started;
  let next = jobs / 10;
  const submission = submitFleet(queue, stores, {
    source: "s3://stub/in",
    target: "s3://stub/out",
    settings: { bits: 1.25 },
    maxWaiting,
    onFull() {
      results ??= startWorkers();
      started ??= performance.now();
    },
    onProgress({ queued }) {
      if (queued < next) return;
      next += jobs / 10;
      const row = {
        queued,
        seconds: (performance.now() - begin) / 1000,
        submitter: process.memoryUsage().rss / 2 ** 20,
      };
      memory().then((redisMemory) => {
        rows.push({ ...row, redis: redisMemory });
        console.log(
          `${queued} queued  ${row.seconds.toFixed(0)} s  Redis ${redisMemory.toFixed(1)} MiB  submitter ${row.submitter.toFixed(0)} MiB`,
        );
      });
    },
  });
  const load = loadavg().map((value) => value.toFixed(1));
  await submission;
  results ??= startWorkers();
  started ??= performance.now();
  const answers = await results;
  for (let left = 1; left > 0; ) {
    await setTimeout(100);
    const { waiting, delayed, active } = await queue.counts();
    left = waiting + delayed + active;
  }
  for (const child of children) child.send("end");
  const ends = (await Promise.all(answers)).map(([message]) => message);
  const seconds = (performance.now() - started) / 1000;
  const { done, waiting, active, failed } = await queue.counts();
  const cpu = ends.map(({ cpu: { user, system } }) => (user + system) / 1000);
  const own = process.cpuUsage();
  const info = await client.info("cpu");
  const redisCpu =
    1000 *
    ["user", "sys"].reduce(
      (sum, kind) => sum + Number(new RegExp(`used_cpu_${kind}:([0-9.]+)`).exec(info)[1]),
      0,
    );
  const report = {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus()[0].model.trim()}, ${cpus().length} virtual cores`,
    node: process.version,
    loadBefore: load,
    loadAfter: loadavg().map((value) => value.toFixed(1)),
    jobs,
    workers,
    maxWaiting,
    counts: { done, waiting, active, failed },
    seconds,
    ...(secondsEach > 0 && { secondsEach, efficiency: (jobs * secondsEach) / (workers * seconds) }),
    msPerJob: (1000 * seconds) / jobs,
    cpuMsPerJob: {
      workers: cpu.reduce((sum, one) => sum + one, 0) / jobs,
      submitter: (own.user + own.system) / 1000 / jobs,
      redis: redisCpu / jobs,
    },
    redisBytesPerWaitingJob: bytesPerJob,
    workerPeakMiB: ends.map(({ rss }) => rss),
    submitterPeakMiB: peak(),
    rows,
  };
  console.log(JSON.stringify(report, null, 2));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  await queue.close();
  client.disconnect();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
  if (done !== jobs || waiting + active + failed > 0) process.exitCode = 1;
}
