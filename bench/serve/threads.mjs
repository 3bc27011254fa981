/**
 * One pool with several threads: requests a second of wall-clock time with 1 and more workers that share its planes, each request
 * for an adapter drawn at random, one row through all its modules; and how much memory each worker adds. Needs as many cores as
 * workers to say anything. Run after `npm run build`: node bench/serve/threads.mjs [--json] [WORKERS]
 */
import { once } from "node:events";
import { cpus } from "node:os";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { AdapterPool, applyPacked, memoryStore } from "../../dist/serve/index.js";
import { adapterFile, SHAPES } from "./adapters.mjs";
import { cpuNow } from "./clock.mjs";

const ADAPTERS = 200;
const MILLISECONDS = 4000;

if (isMainThread) await measure();
else work();

async function measure() {
  const most = Number(process.argv.slice(2).find((word) => /^\d+$/.test(word)) ?? 2);
  const file = await adapterFile(SHAPES["q/v r4"]);
  const store = memoryStore(new Map(Array.from({ length: ADAPTERS }, (_, i) => [String(i), file])));
  // Without ids nothing is shared between names, so one file may stand for many.
  const pool = new AdapterPool({ budgetBytes: 2 ** 31, store, verify: false, shared: true });
  const adapters = [];
  for (let i = 0; i < ADAPTERS; i++) {
    const lease = await pool.acquire(String(i));
    adapters.push(lease.modules.map((module) => lease.packed(module)));
  }
  const { packedBytes } = pool.statistics;
  const rows = [];
  for (let count = 1; count <= most; count *= 2) {
    const before = process.memoryUsage.rss();
    const workers = Array.from(
      { length: count },
      () => new Worker(new URL(import.meta.url), { workerData: adapters }),
    );
    await Promise.all(workers.map((worker) => once(worker, "message")));
    const added = (process.memoryUsage.rss() - before) / count;
    const answers = workers.map((worker) => once(worker, "message"));
    const start = cpuNow();
    for (const worker of workers) worker.postMessage("begin");
    const served = (await Promise.all(answers)).reduce((sum, [n]) => sum + n, 0);
    const requestsPerCpuSecond = (1000 * served) / (cpuNow() - start);
    const requestsPerSecond = (1000 * served) / MILLISECONDS;
    rows.push({ workers: count, requestsPerSecond, requestsPerCpuSecond, addedBytes: added });
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  const about = {
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
  };
  if (process.argv.includes("--json"))
    return console.log(JSON.stringify({ ...about, packedBytes, rows }, null, 2));
  console.log(
    `${about.date}, ${about.cores} × ${about.cpu}, Node ${about.node}; ${ADAPTERS} adapters q/v r4, ${(packedBytes / 2 ** 20).toFixed(0)} MiB packed`,
  );
  console.log(
    "| workers | requests a second | of one worker | a second of CPU time | each worker adds |\n|--:|--:|--:|--:|--:|",
  );
  for (const { workers, requestsPerSecond, requestsPerCpuSecond, addedBytes } of rows)
    console.log(
      `| ${workers} | ${requestsPerSecond.toFixed(0)} | ${(requestsPerSecond / rows[0].requestsPerSecond).toFixed(2)} | ${requestsPerCpuSecond.toFixed(0)} | ${(addedBytes / 2 ** 20).toFixed(0)} MiB |`,
    );
}

function work() {
  const adapters = workerData;
  const x = new Float32Array(4096).fill(0.5);
  const y = new Float32Array(4096);
  let at = 1;
  const serve = () => {
    at = (at * 48271) % 2147483647;
    for (const module of adapters[at % adapters.length]) applyPacked(module, x, y);
  };
  for (let i = 0; i < 20; i++) serve();
  parentPort.once("message", () => {
    const end = performance.now() + MILLISECONDS;
    let served = 0;
    for (; performance.now() < end; served++) serve();
    parentPort.postMessage(served);
  });
  parentPort.postMessage("ready");
}
