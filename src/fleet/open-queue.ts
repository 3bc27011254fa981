/**
 * Opens the queue at an address: `redis://…`.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { WorkQueue } from "./queue.ts";
import { type RedisOptions, redisQueue } from "./redis-queue.ts";

/**
 * Opens a queue.
 *
 * @param address `redis://` or `rediss://`
 * @throws LqaError USAGE for an address of another kind; MISSING_PACKAGE, NETWORK, ACCESS_DENIED, IO
 */
export async function openQueue(address: string, options: RedisOptions = {}): Promise<WorkQueue> {
  if (/^rediss?:\/\//i.test(address)) return await redisQueue(address, options);
  return fail(KIND.USAGE, {
    where: "queue",
    expected: "redis://host:6379",
    actual: JSON.stringify(address.slice(0, 200)),
    advice:
      "Start Redis or Valkey and give its address. On one machine no queue is needed: lqa encode DIR --out-dir DIR resumes.",
  });
}
