/**
 * Metrics of a server, for Prometheus. Labels have few values: routes, statuses and outcomes, never names from a request.
 *
 * The optional package prom-client counts. Without it everything works except `/metrics`.
 *
 * @module
 */
import { isLqaError } from "../errors.ts";
import { openPrometheus, type Prometheus } from "../node/prometheus.ts";
import type { AdapterPool } from "../serve/pool.ts";
import type { PoolStatistics } from "../serve/pool-options.ts";
import type { SharedFactors } from "./shared-factors.ts";

/** Upper bounds of the histogram of durations, in seconds. */
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Kind and help text of each statistic of a pool. Those that only grow are counters. */
const POOL: Readonly<Record<keyof PoolStatistics, readonly ["counter" | "gauge", string]>> = {
  hits: ["counter", "Requests for an adapter that was in memory."],
  misses: ["counter", "Requests for an adapter that had to be loaded."],
  loads: ["counter", "Adapters loaded."],
  loadFailures: ["counter", "Adapters that could not be loaded."],
  evictions: ["counter", "Adapters evicted."],
  deduplicated: ["counter", "Adapters whose content was in memory under another name."],
  decodedHits: ["counter", "Requests for decoded factors that were in memory."],
  decodedMisses: ["counter", "Requests for decoded factors that had to be decoded."],
  decodedEvictions: ["counter", "Decoded factors evicted."],
  budgetBytes: ["gauge", "Most bytes of packed adapters, starts and decoded factors."],
  usedBytes: ["gauge", "Bytes of packed adapters, starts and decoded factors."],
  packedBytes: ["gauge", "Bytes of packed adapters."],
  startBytes: ["gauge", "Bytes of the random numbers that A' began with."],
  decodedBytes: ["gauge", "Bytes of decoded factors."],
  adapters: ["gauge", "Names that are known."],
  resident: ["gauge", "Names whose adapter is in memory."],
  contents: ["gauge", "Different contents in memory."],
  pinned: ["gauge", "Names that are never evicted."],
  leases: ["gauge", "Uses of adapters at this moment."],
};

/** The parts of a server that its gauges read. */
export interface Observed {
  readonly pool: AdapterPool;
  readonly shared: SharedFactors | undefined;
  /** Requests under way, waiting ones included. */
  inFlight(): number;
  /** Requests that wait for a place. */
  waiting(): number;
  ready(): Promise<boolean>;
}

/** The metrics of a server. */
export interface Metrics {
  /** Counts a request that has ended. `status`: that of the answer, or `aborted` if the client went away. */
  finished(route: string, status: string, seconds: number): void;
  /** Counts rows that an adapter was applied to. */
  applied(rows: number): void;
  /** Counts a reload of a changed file, or its failure. */
  reloaded(outcome: "ok" | "failed"): void;
  /** All metrics in the text format of Prometheus, with its media type. Undefined without prom-client. */
  text(): Promise<{ readonly type: string; readonly body: string } | undefined>;
}

/** Creates metrics with prom-client. If it is not installed, they count nothing. */
export async function serverMetrics(observed: Observed): Promise<Metrics> {
  let prometheus: Prometheus;
  try {
    prometheus = await openPrometheus();
  } catch (error) {
    if (!isLqaError(error, "MISSING_PACKAGE")) throw error;
    return { finished() {}, applied() {}, reloaded() {}, text: async () => undefined };
  }
  const { client, registry, gauge, counter } = prometheus;
  const registers = [registry];
  gauge("lqa_ready", "1 if requests are taken.", async () => ((await observed.ready()) ? 1 : 0));
  gauge("lqa_requests_in_flight", "Requests under way.", observed.inFlight);
  gauge("lqa_requests_waiting", "Requests that wait for their turn.", observed.waiting);
  gauge("lqa_shared_bytes", "Bytes of decoded factors in shared memory.", () => observed.shared?.bytes ?? 0);
  gauge("lqa_shared_files", "Files of decoded factors in shared memory.", () => observed.shared?.files ?? 0);
  for (const [key, [kind, help]] of Object.entries(POOL)) {
    const name = `lqa_pool_${key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
    const value = (): number => observed.pool.statistics[key as keyof PoolStatistics];
    if (kind === "gauge") gauge(name, help, value);
    else counter(`${name}_total`, help, value);
  }
  const requests = new client.Counter({
    name: "lqa_requests_total",
    help: "Requests by route and status.",
    labelNames: ["route", "status"],
    registers,
  });
  const durations = new client.Histogram({
    name: "lqa_request_duration_seconds",
    help: "Time from when the head of a request was read until its answer was sent.",
    labelNames: ["route"],
    buckets: BOUNDS,
    registers,
  });
  const rows = new client.Counter({
    name: "lqa_rows_total",
    help: "Rows that an adapter was applied to.",
    registers,
  });
  const reloads = new client.Counter({
    name: "lqa_reloads_total",
    help: "Adapters whose file changed while they were in memory, by what became of the new version.",
    labelNames: ["outcome"],
    registers,
  });
  return {
    finished(route, status, seconds) {
      requests.inc({ route, status });
      durations.observe({ route }, seconds);
    },
    applied: (count) => rows.inc(count),
    reloaded: (outcome) => reloads.inc({ outcome }),
    text: async () => ({ type: registry.contentType, body: await registry.metrics() }),
  };
}
