/**
 * Encodes without a queue: one process encodes the adapters of a location, or one share of them, in one pass over a listing.
 *
 * For batch engines that start the same command many times with an index and restart it if it fails. Each process lists the
 * whole source. Jobs, results and records are the same as those of workers with a queue, so either can resume the other.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { pause } from "../node/objects/concurrent.ts";
import { parseLocation } from "../node/objects/location.ts";
import type { Stores } from "../node/objects/open-store.ts";
import { inShard, type Shard } from "../node/shard.ts";
import { findAdapters } from "./adapters.ts";
import { jobEntry } from "./job.ts";
import { ATTEMPTS, FIRST_PAUSE, type WorkQueue } from "./queue.ts";
import { checkSettings, type FleetSettings } from "./settings.ts";
import { type WorkDone, type WorkerOptions, workFleet } from "./work.ts";

/** What to encode, and how. */
export interface EncodeFleetOptions
  extends Pick<WorkerOptions, "concurrency" | "signal" | "scratch" | "onAttempt"> {
  /** Locations, `s3://bucket/prefix`. */
  readonly source: string;
  readonly target: string;
  readonly settings?: FleetSettings | undefined;
  /** The share of the adapters, by their names below the source. Default: all. */
  readonly shard?: Shard | undefined;
}

/**
 * Encodes the adapters of a location, or a share of them. Existing results are kept. If an adapter cannot be encoded, the
 * target gets a record of the failure and the others continue; temporary failures are retried with exponential backoff.
 *
 * @throws LqaError USAGE for a share that does not exist or contradictory settings; NOT_FOUND if the location has no
 * adapter (an empty share is no error); ABORTED if `signal` aborted before the end, after the adapters in progress are
 * finished; what the stores throw; as {@link workFleet} for errors that every adapter would have
 */
export async function encodeFleet(stores: Stores, options: EncodeFleetOptions): Promise<WorkDone> {
  const { source, target, settings = {}, shard, signal, ...how } = options;
  parseLocation(source, { where: "source" });
  parseLocation(target, { where: "target" });
  checkSettings(settings);
  const queue = listingQueue(stores, { source, target, settings, shard });
  const done = await workFleet(queue, stores, {
    ...how,
    signal,
    allow: { sources: [source], targets: [target] },
  });
  if (signal?.aborted) fail(KIND.ABORTED, { cause: signal.reason });
  return done;
}

/** Presents a listing as the part of a queue that a worker needs. */
function listingQueue(
  stores: Stores,
  {
    source,
    target,
    settings,
    shard,
  }: Omit<EncodeFleetOptions, keyof WorkerOptions> & {
    readonly settings: FleetSettings;
  },
): Pick<WorkQueue, "work"> {
  const isChosen = inShard(shard);
  return {
    async work(process, { concurrency, signal }) {
      let found = 0;
      let halted: { readonly error: unknown } | undefined;
      const adapters = findAdapters(await stores.open(source), { signal });
      const isOver = (): boolean => signal?.aborted === true || halted !== undefined;
      /** Processes adapters one after the other until none is left. */
      const lane = async (): Promise<void> => {
        while (!isOver()) {
          const next = await adapters.next();
          if (next.done) return;
          found++;
          const entry = jobEntry(source, target, next.value, settings);
          if (!isChosen(entry.name)) continue;
          for (let attempt = 1; attempt <= ATTEMPTS && !isOver(); attempt++) {
            const verdict = await process(entry, { last: attempt === ATTEMPTS });
            if (verdict.kind === "halt") halted = verdict;
            if (verdict.kind !== "retry") break;
            await pause(FIRST_PAUSE * 2 ** (attempt - 1), signal);
          }
        }
      };
      const lanes = await Promise.allSettled(Array.from({ length: concurrency }, lane));
      if (halted !== undefined) throw (halted as { readonly error: unknown }).error;
      for (const ended of lanes)
        if (ended.status === "rejected" && signal?.aborted !== true) throw ended.reason;
      if (found === 0 && !isOver())
        fail(KIND.NOT_FOUND, { where: source, expected: "adapters", actual: "none" });
    },
  };
}
