/** What the benches of serving measure by. */
import { readFileSync } from "node:fs";
import { freemem } from "node:os";

/** Bytes that the system can give without swapping. */
export function available() {
  const found = /MemAvailable:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"));
  return found === null ? freemem() : 1024 * Number(found[1]);
}

export function memoryNow() {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  return { rss, heapUsed };
}

/** Milliseconds of CPU time of this process so far: what a busy machine leaves of a clock. */
export function cpuNow() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export const median = (values) => [...values].sort((x, y) => x - y)[values.length >> 1];
/** What one in a thousand exceeds. */
export const high = (values) => [...values].sort((x, y) => x - y)[Math.floor(0.999 * values.length)];
