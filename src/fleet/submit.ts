/**
 * Submits the adapters of a location as jobs of a queue.
 *
 * This lists the source page by page and queues jobs in batches while the queue has room, so neither this process nor Redis
 * holds more. The target keeps the progress, so an interrupted submission can be resumed. Adapters with a result are not
 * queued again.
 *
 * @module
 */
import { createHash } from "node:crypto";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import { decodeUtf8 } from "../model/bytes.ts";
import { concurrently, pause } from "../node/objects/concurrent.ts";
import { parseLocation } from "../node/objects/location.ts";
import type { Stores } from "../node/objects/open-store.ts";
import { type ObjectStore, OWN_PREFIX, type ReadableStore } from "../node/objects/store.ts";
import { type FoundAdapter, findAdapters } from "./adapters.ts";
import { type FleetJob, jobOf, resultKey } from "./job.ts";
import type { WorkQueue } from "./queue.ts";
import { isDone } from "./records.ts";
import { checkSettings, type FleetSettings } from "./settings.ts";

/** What to submit. */
export interface SubmitOptions {
  /** Locations of source and target, `s3://bucket/prefix`. */
  readonly source: string;
  readonly target: string;
  readonly settings?: FleetSettings | undefined;
  /** Most jobs that wait in the queue; more are added as these are done. Default 10,000. */
  readonly maxWaiting?: number | undefined;
  /** Starts from the beginning, even if an earlier submission was interrupted. Default false. */
  readonly restart?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after each batch. */
  readonly onProgress?: ((counts: Submission) => void) | undefined;
  /** Called when the queue is full. */
  readonly onFull?: ((waiting: number) => void) | undefined;
}

/** The result of a submission. */
export interface Submission {
  /** Adapters that this run found. */
  readonly found: number;
  readonly queued: number;
  /** Adapters that already have a result. */
  readonly kept: number;
  /** Number of adapters that no job can carry, for example because of their names; `refusedNames`: the first of them. */
  readonly refused: number;
  readonly refusedNames: readonly string[];
  /** Key after which this run resumed an earlier one; absent if it began at the beginning. */
  readonly resumedAfter?: string;
}

/** Number of adapters that are queued together. */
const BATCH = 500;
/** Number of concurrent requests to the target. */
const PLACES = 32;
/** Interval at which a full queue is polled, ms. */
const POLL = 500;
const SHOWN = 20;

/**
 * Submits the adapters of a location.
 *
 * @throws LqaError USAGE for contradictory settings; NOT_FOUND if there is no adapter; ABORTED; what stores and queue throw
 */
export async function submitFleet(
  queue: WorkQueue,
  stores: Stores,
  options: SubmitOptions,
): Promise<Submission> {
  const { settings = {}, maxWaiting = 10_000, signal, onProgress, onFull } = options;
  const { source: from, target: to } = options;
  parseLocation(from, { where: "source" });
  parseLocation(to, { where: "target" });
  checkSettings(settings);
  const source = await stores.open(from);
  const target = await stores.open(to);
  const progress = progressKey(from, to, settings);
  const resumedAfter = options.restart === true ? undefined : await readProgress(target, progress);
  let counts: Submission = {
    found: 0,
    queued: 0,
    kept: 0,
    refused: 0,
    refusedNames: [],
    ...(resumedAfter !== undefined && { resumedAfter }),
  };
  const flush = async (batch: readonly FoundAdapter[]): Promise<void> => {
    const jobs: FleetJob[] = [];
    const refused: string[] = [];
    for (const adapter of batch) {
      try {
        jobs.push(jobOf(from, to, adapter, settings));
      } catch (error) {
        if (!isLqaError(error, "JOB_INVALID")) throw error;
        refused.push(adapter.name);
      }
    }
    const open: FleetJob[] = [];
    const check = async (job: FleetJob): Promise<[FleetJob, boolean]> => [
      job,
      settings.force !== true && (await isDone(target, job, resultKey(job), signal)),
    ];
    for await (const [job, done] of concurrently(jobs, PLACES, check)) if (!done) open.push(job);
    await room(queue, maxWaiting, open.length, { signal, onFull });
    if (signal?.aborted) return;
    if (open.length > 0) await queue.add(open);
    counts = {
      ...counts,
      found: counts.found + batch.length,
      queued: counts.queued + open.length,
      kept: counts.kept + jobs.length - open.length,
      refused: counts.refused + refused.length,
      refusedNames: [...counts.refusedNames, ...refused].slice(0, SHOWN),
    };
    onProgress?.(counts);
  };
  const withdraw = await queue.announce();
  try {
    let batch: FoundAdapter[] = [];
    for await (const adapter of findAdapters(source, { after: resumedAfter, signal })) {
      batch.push(adapter);
      if (batch.length < Math.min(BATCH, maxWaiting)) continue;
      await flush(batch);
      if (signal?.aborted) fail(KIND.ABORTED, { cause: signal.reason });
      await writeProgress(target, progress, adapter.resumeAfter);
      batch = [];
    }
    await flush(batch);
  } finally {
    await withdraw();
  }
  if (signal?.aborted) fail(KIND.ABORTED, { cause: signal.reason });
  await target.remove(progress);
  if (counts.found === 0 && resumedAfter === undefined)
    fail(KIND.NOT_FOUND, { where: options.source, expected: "adapters", actual: "none" });
  return counts;
}

/** Waits until the queue has room for this many more jobs. */
async function room(
  queue: WorkQueue,
  most: number,
  more: number,
  { signal, onFull }: Pick<SubmitOptions, "signal" | "onFull">,
): Promise<void> {
  let reported = false;
  while (more > 0 && signal?.aborted !== true) {
    const { waiting, delayed } = await queue.counts();
    if (waiting + delayed + more <= most || waiting + delayed === 0) return;
    if (!reported) onFull?.(waiting + delayed);
    reported = true;
    await pause(POLL, signal);
  }
}

function progressKey(source: string, target: string, settings: FleetSettings): string {
  const id = createHash("sha256")
    .update(JSON.stringify([source, target, settings]))
    .digest("hex")
    .slice(0, 32);
  return `${OWN_PREFIX}submissions/${id}.json`;
}

async function readProgress(store: ReadableStore, key: string): Promise<string | undefined> {
  const bytes = await store.read(key, { offset: 0, length: 65536 });
  if (bytes === undefined) return undefined;
  try {
    const { after } = JSON.parse(decodeUtf8(bytes)) as { after?: unknown };
    return typeof after === "string" && after !== "" ? after : undefined;
  } catch {
    // Starting from the beginning only costs time.
    return undefined;
  }
}

async function writeProgress(store: ObjectStore, key: string, after: string): Promise<void> {
  await store.put(key, new TextEncoder().encode(`${JSON.stringify({ after })}\n`), { replace: true });
}
