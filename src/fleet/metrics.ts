/**
 * The metrics of a worker for Prometheus, served on their own port: attempts by outcome, seconds, bytes, failures by code,
 * and the jobs of the queue by state. `prom-client`, an optional package, does the counting.
 *
 * @module
 */
import { createServer } from "node:http";
import { listen, type Place } from "../node/listen.ts";
import { openPrometheus } from "../node/prometheus.ts";
import type { Attempt } from "./perform.ts";
import type { QueueCounts, WorkQueue } from "./queue.ts";

/** Upper bounds of the histogram of seconds per attempt. */
const BOUNDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000];
/** States of jobs in the queue. `done` only grows, so it is a counter instead. */
const STATES = ["waiting", "delayed", "active", "failed"] as const satisfies readonly (keyof QueueCounts)[];
/** Longest age of the queue's counts, ms. Prometheus scrapes many workers, but there is only one Redis. */
const FRESH = 5000;

/** The running metrics server of a worker. */
export interface WorkerMetrics {
  /** `http://host:port`. */
  readonly address: string;
  onAttempt(attempt: Attempt): void;
  close(): Promise<void>;
}

/**
 * Serves `GET /metrics`, and `GET /health` for probes.
 *
 * @throws LqaError MISSING_PACKAGE without prom-client; IO if the port is taken
 */
export async function serveWorkerMetrics(
  queue: Pick<WorkQueue, "counts">,
  place: Place,
): Promise<WorkerMetrics> {
  const { client, registry, gauge, counter } = await openPrometheus();
  const { Counter, Gauge, Histogram } = client;
  const registers = [registry];
  const attempts = new Counter({
    name: "lqa_fleet_attempts_total",
    help: "Attempts at jobs of this worker by outcome: encoded, kept, failed, retried.",
    labelNames: ["outcome"],
    registers,
  });
  const failures = new Counter({
    name: "lqa_fleet_failures_total",
    help: "Attempts of this worker that failed, by the code of the error.",
    labelNames: ["code"],
    registers,
  });
  const bytes = new Counter({
    name: "lqa_fleet_bytes_total",
    help: "Bytes of the .lqa files of this worker.",
    registers,
  });
  const seconds = new Histogram({
    name: "lqa_fleet_attempt_seconds",
    help: "Seconds of the attempts of this worker, fetching and storing included.",
    labelNames: ["outcome"],
    buckets: BOUNDS,
    registers,
  });

  let counts: { readonly at: number; readonly found: Promise<QueueCounts | undefined> } | undefined;
  const queueCounts = (): Promise<QueueCounts | undefined> => {
    const now = performance.now();
    if (counts === undefined || now - counts.at > FRESH)
      counts = { at: now, found: queue.counts().catch(() => undefined) };
    return counts.found;
  };
  gauge("lqa_fleet_queue_up", "1 if the queue answers.", async () =>
    (await queueCounts()) === undefined ? 0 : 1,
  );
  new Gauge({
    name: "lqa_fleet_queue_jobs",
    help: "Jobs of the queue by state: waiting, delayed, active, failed. The same from every worker.",
    labelNames: ["state"],
    registers,
    async collect() {
      const found = await queueCounts();
      this.reset();
      if (found !== undefined) for (const state of STATES) this.set({ state }, found[state]);
    },
  });
  counter(
    "lqa_fleet_queue_done_total",
    "Jobs done since the queue exists. The same from every worker.",
    async () => (await queueCounts())?.done ?? 0,
  );

  const server = createServer({ requestTimeout: 10_000 }, async (request, response) => {
    const path = request.url?.split("?")[0];
    if (path === "/health") response.end("ok\n");
    else if (path === "/metrics") {
      const body = await registry.metrics();
      response.setHeader("content-type", registry.contentType).end(body);
    } else response.writeHead(404).end("GET /metrics, GET /health\n");
  });
  server.maxConnections = 32;
  const address = await listen(server, place);
  return {
    address,
    onAttempt({ outcome, seconds: took, bytes: size, failure }) {
      attempts.inc({ outcome });
      seconds.observe({ outcome }, took);
      if (size !== undefined) bytes.inc(size);
      if (failure !== undefined) failures.inc({ code: failure.code });
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
