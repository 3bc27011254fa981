/**
 * One share of many adapters, for engines that start the same command many times with an index: Indexed Jobs of Kubernetes,
 * array jobs of AWS Batch and Slurm, Argo, Spark, Ray.
 *
 * The share of an adapter depends on its output name and on the number of shares alone. Processes that list the adapters at
 * different times still agree, and a share that runs again finds its own adapters again. The shares differ in size as random
 * draws do.
 *
 * @module
 */
import { createHash } from "node:crypto";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";

/** Share `index` of `count`, from index 0 on. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** Largest number of shares. */
const MOST = 1_000_000;

/**
 * Tells which names are in a share: those for which the first 32 bits of the SHA-256 of the name (UTF-8), modulo the number of
 * shares, are the index. Without a share all are.
 *
 * @throws LqaError USAGE for an index or a number of shares that is no whole number in its range
 */
export function inShard(shard: Shard | undefined): (name: string) => boolean {
  if (shard === undefined) return () => true;
  const { index, count } = shard;
  const whole = Number.isInteger(index) && Number.isInteger(count);
  if (!whole || index < 0 || count > MOST || index >= count)
    fail(KIND.USAGE, {
      where: "shard",
      expected: `an index from 0 to ${count >= 1 && count <= MOST ? count - 1 : "the number of shards less 1"}, and 1 to ${MOST} shards`,
      actual: `${index}/${count}`,
    });
  return (name) => createHash("sha256").update(name).digest().readUInt32BE() % count === index;
}
