/**
 * One share of many adapters, for batch engines that start the same command many times with an index: Indexed Jobs of
 * Kubernetes, array jobs of AWS Batch and Slurm, Argo, Spark, Ray.
 *
 * The share of an adapter depends only on its output name and on the number of shares. Processes that list the adapters at
 * different times still agree, and a share that is rerun gets the same adapters. The sizes of the shares vary like random draws.
 *
 * @module
 */
import { createHash } from "node:crypto";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";

/** Share `index` of `count`; the first index is 0. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** Largest number of shares. */
const MOST = 1_000_000;

/**
 * Makes a function that tells whether a name is in a share: whether the first 32 bits of the SHA-256 of the name (UTF-8), modulo
 * the number of shares, are the index. Without a share it accepts all names.
 *
 * @throws LqaError USAGE for an index or a number of shares that is not a whole number in its range
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
