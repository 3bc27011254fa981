// What the server counts, in Prometheus' text format (version 0.0.4). Labels have few values: routes and statuses, never names
// that a request brings.
import { monitorEventLoopDelay } from "node:perf_hooks";

/** Upper bounds of the histogram of durations, in seconds. */
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Statistics of the pool that go up and down; the others only go up. */
const GAUGES = new Set([
  "budgetBytes",
  "usedBytes",
  "packedBytes",
  "decodedBytes",
  "adapters",
  "resident",
  "contents",
  "pinned",
  "leases",
]);

export class Metrics {
  inFlight = 0;
  rows = 0;
  #statuses = new Map();
  #durations = new Map();
  #delay = monitorEventLoopDelay({ resolution: 20 });

  constructor() {
    this.#delay.enable();
  }

  /** A request is over. `status`: of the answer, or "aborted" if nobody waited for it. */
  finished(route, status, seconds) {
    const key = `route="${route}",status="${status}"`;
    this.#statuses.set(key, (this.#statuses.get(key) ?? 0) + 1);
    if (!this.#durations.has(route))
      this.#durations.set(route, { buckets: BOUNDS.map(() => 0), sum: 0, count: 0 });
    const durations = this.#durations.get(route);
    BOUNDS.forEach((bound, i) => {
      if (seconds <= bound) durations.buckets[i]++;
    });
    durations.sum += seconds;
    durations.count++;
  }

  stop() {
    this.#delay.disable();
  }

  /** @param shared what is handed out as files: `bytes`, `files` */
  text(pool, shared, ready) {
    const lines = [];
    /** Samples: what follows the name, labels, value. */
    const add = (name, type, help, samples) => {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
      for (const [suffix, labels, value] of samples)
        lines.push(`${name}${suffix}${labels && `{${labels}}`} ${value}`);
    };
    const one = (name, type, help, value) => add(name, type, help, [["", "", value]]);
    one("lqa_ready", "gauge", "1 if requests are taken.", ready ? 1 : 0);
    one("lqa_requests_in_flight", "gauge", "Requests under way.", this.inFlight);
    add(
      "lqa_requests_total",
      "counter",
      "Requests by route and status.",
      [...this.#statuses].map(([labels, count]) => ["", labels, count]),
    );
    add(
      "lqa_request_duration_seconds",
      "histogram",
      "Duration of requests, until the answer was sent.",
      [...this.#durations].flatMap(([route, { buckets, sum, count }]) => [
        ...BOUNDS.map((bound, i) => ["_bucket", `route="${route}",le="${bound}"`, buckets[i]]),
        ["_bucket", `route="${route}",le="+Inf"`, count],
        ["_sum", `route="${route}"`, sum],
        ["_count", `route="${route}"`, count],
      ]),
    );
    one("lqa_rows_total", "counter", "Rows that an adapter was applied to.", this.rows);
    for (const [key, value] of Object.entries(pool.statistics)) {
      const plain = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      if (GAUGES.has(key)) one(`lqa_pool_${plain}`, "gauge", `Pool: ${key}.`, value);
      else one(`lqa_pool_${plain}_total`, "counter", `Pool: ${key}.`, value);
    }
    one("lqa_shared_bytes", "gauge", "Bytes of decoded factors in shared memory.", shared?.bytes ?? 0);
    one("lqa_shared_files", "gauge", "Files of decoded factors in shared memory.", shared?.files ?? 0);
    one("process_resident_memory_bytes", "gauge", "Resident memory.", process.memoryUsage().rss);
    one("process_start_time_seconds", "gauge", "Start of the process.", Date.now() / 1000 - process.uptime());
    one(
      "nodejs_eventloop_delay_seconds",
      "gauge",
      "99th percentile of the delay of the event loop since it was last asked for.",
      this.#delay.count > 0 ? this.#delay.percentile(99) / 1e9 : 0,
    );
    this.#delay.reset();
    return `${lines.join("\n")}\n`;
  }
}
