/**
 * Metrics for Prometheus, by prom-client: an optional package, loaded on demand.
 *
 * @module
 */
import type { Registry } from "prom-client";
import { optional } from "./remote/optional.ts";

/** The package, and a registry that already has the metrics of the process. */
export interface Prometheus {
  readonly client: typeof import("prom-client");
  readonly registry: Registry;
  /** Adds a gauge that computes its value on each scrape. */
  gauge(name: string, help: string, value: () => number | Promise<number>): void;
  /** Adds a counter that computes its value on each scrape. */
  counter(name: string, help: string, value: () => number | Promise<number>): void;
}

/** Opens a registry. @throws LqaError MISSING_PACKAGE */
export async function openPrometheus(): Promise<Prometheus> {
  const client = await optional(["prom-client"], async () => (await import("prom-client")).default);
  const { Counter, Gauge, Registry, collectDefaultMetrics } = client;
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    client,
    registry,
    gauge(name, help, value) {
      new Gauge({
        name,
        help,
        registers,
        async collect() {
          this.set(await value());
        },
      });
    },
    counter(name, help, value) {
      new Counter({
        name,
        help,
        registers,
        async collect() {
          const count = await value();
          this.reset();
          this.inc(count);
        },
      });
    },
  };
}
