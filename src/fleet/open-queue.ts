/**
 * From an address to its queue: `redis://…`, or a directory.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { directoryQueue } from "./directory-queue.ts";
import type { WorkQueue } from "./queue.ts";
import { type RedisOptions, redisQueue } from "./redis-queue.ts";

/**
 * Opens a queue.
 *
 * @param address `redis://` or `rediss://`, or a directory below which the queue is kept
 * @throws LqaError USAGE for an address of another kind; MISSING_PACKAGE, NETWORK, ACCESS_DENIED, IO
 */
export async function openQueue(address: string, options: RedisOptions = {}): Promise<WorkQueue> {
  if (/^rediss?:\/\//i.test(address)) return await redisQueue(address, options);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(address))
    fail(KIND.USAGE, { where: "queue", expected: "redis:// or a directory", actual: address });
  return await directoryQueue(address);
}
