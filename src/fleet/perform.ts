/**
 * Performs one entry of the queue: parses it strictly, compares it with what the operator allows, fetches and encodes the
 * adapter, stores the result if the target has none, checks it, and writes the record.
 *
 * A worker that is killed leaves a whole result or none. A second attempt gives the same bytes, so an existing
 * result is either identical or an error.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import type { Executor } from "../encode/quantize/tasks.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import { encodeFrom } from "../node/encode-file.ts";
import { openAdapterFiles } from "../node/files/adapter-files.ts";
import { CONFIG_FILE } from "../node/files/adapter-names.ts";
import { MAX_SIDE_FILE } from "../node/files/file.ts";
import { type TemporaryDirectory, withTemporaryDirectory } from "../node/files/temporary.ts";
import { concurrently } from "../node/objects/concurrent.ts";
import { isWithin, type Location, parseLocation } from "../node/objects/location.ts";
import type { Stores } from "../node/objects/open-store.ts";
import { type ObjectStore, objectSource, placeOf, type ReadableStore, STEP } from "../node/objects/store.ts";
import { type FleetFailure, failureOf } from "./failure.ts";
import {
  type FleetJob,
  failureKey,
  type JobFile,
  parseJob,
  type QueuedJob,
  recordKey,
  resultKey,
} from "./job.ts";
import type { Verdict } from "./queue.ts";
import { isDone, resultRecord, writeFailure, writeRecord } from "./records.ts";

/** The allowed roots: sources and targets of jobs must be at or below them. */
export interface AllowedRoots {
  readonly sources: readonly Location[];
  readonly targets: readonly Location[];
}

/** A job in a worker's callbacks. An invalid entry has its id as its name. */
export type NamedJob = Pick<FleetJob, "id" | "name">;

/** How an attempt at a job ended. */
export interface Attempt {
  readonly job: NamedJob;
  /** `kept`: the result already existed. `retried`: the attempt failed, and the queue will retry the job. */
  readonly outcome: "encoded" | "kept" | "failed" | "retried";
  readonly seconds: number;
  /** Size of the `.lqa` file, if one was encoded. */
  readonly bytes?: number;
  readonly failure?: FleetFailure;
}

/** The surroundings in which a worker performs its jobs. */
export interface Workplace {
  readonly stores: Stores;
  readonly allowed: AllowedRoots;
  /** Directory for fetched files. */
  readonly scratch: string;
  readonly executor: Executor;
  /** Whether the worker has ended and no longer waits for jobs; a failure after that says nothing about the job. */
  readonly isAbandoned: () => boolean;
  readonly onAttempt?: ((attempt: Attempt) => void) | undefined;
}

/** Errors that may be temporary. */
const PASSING: ReadonlySet<string> = new Set(["NETWORK", "IO", "UPLOAD_DAMAGED", "HTTP_RESPONSE"]);

/** Number of files of an adapter that are fetched concurrently: the configuration and the weights. */
const FILES = 2;

/**
 * Parses an entry and checks that this worker may perform it.
 *
 * @throws LqaError JOB_INVALID, JOB_NOT_ALLOWED
 */
export function allowedJob(entry: QueuedJob, { sources, targets }: AllowedRoots): FleetJob {
  const job = parseJob(entry);
  for (const [option, location, roots] of [
    ["--allow-source", job.source, sources],
    ["--allow-target", job.target, targets],
  ] as const) {
    const place = parseLocation(location);
    if (!roots.some((root) => isWithin(place, root)))
      fail(KIND.JOB_NOT_ALLOWED, {
        where: `job ${job.id}`,
        expected: `a location within ${option} ${roots.map(locationText).join(", ")}`,
        actual: JSON.stringify(location),
      });
  }
  return job;
}

function locationText({ bucket, parts }: Location): string {
  return ["s3:/", bucket, ...parts].join("/");
}

/** Performs an entry of the queue. The verdict contains every error. */
export async function performJob(
  entry: QueuedJob,
  { last }: { readonly last: boolean },
  at: Workplace,
): Promise<Verdict> {
  const started = performance.now();
  const report = (job: NamedJob, outcome: Attempt["outcome"], more: Partial<Attempt>): void =>
    at.onAttempt?.({ job, outcome, seconds: (performance.now() - started) / 1000, ...more });
  let job: FleetJob;
  try {
    job = allowedJob(entry, at.allowed);
  } catch (error) {
    // Only the queue's own list records it: an untrusted entry must not choose the target of a write.
    const failure = failureOf(error);
    report({ id: entry.id, name: entry.id.slice(0, 80) }, "failed", { failure });
    return { kind: "dead", failure };
  }
  try {
    const target = await at.stores.open(job.target);
    const key = resultKey(job);
    const kept = job.settings.force !== true && (await isDone(target, job, key));
    if (kept) report(job, "kept", {});
    else report(job, "encoded", { bytes: await encodeJob(job, key, target, at) });
    return { kind: "done" };
  } catch (error) {
    // An error that only the operator can fix affects every job.
    if (isHalt(error)) return { kind: "halt", error };
    const failure = failureOf(error);
    if (at.isAbandoned()) return { kind: "retry", failure };
    const passing = isLqaError(error) && PASSING.has(error.kind);
    const final = !passing || last;
    report(job, final ? "failed" : "retried", { failure });
    if (!final) return { kind: "retry", failure };
    try {
      await writeFailure(await at.stores.open(job.target), job, failure);
    } catch (unwritten) {
      if (isHalt(unwritten)) return { kind: "halt", error: unwritten };
      // The queue's list of failures still has it.
    }
    return { kind: "dead", failure };
  }
}

function isHalt(error: unknown): boolean {
  return (
    isLqaError(error, "ACCESS_DENIED") ||
    isLqaError(error, "MISSING_PACKAGE") ||
    (isLqaError(error, "NOT_FOUND") && error.expected === "a bucket")
  );
}

/** @returns the size of the `.lqa` file in bytes */
async function encodeJob(job: FleetJob, key: string, target: ObjectStore, at: Workplace): Promise<number> {
  const started = performance.now();
  const source = await at.stores.open(job.source);
  return await withTemporaryDirectory(
    "job-",
    async (folder) => {
      const input = await fetched(job, source, folder);
      const { force, ...settings } = job.settings;
      let bytes: Uint8Array = new Uint8Array(0);
      const result = await encodeFrom(
        () => openAdapterFiles(input),
        async (encoded) => {
          bytes = encoded;
        },
        { ...settings, scaleIfMissing: true, executor: at.executor },
      );
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      await store(key, bytes, sha256, target, force === true);
      const seconds = (performance.now() - started) / 1000;
      await Promise.all([
        writeRecord(target, recordKey(job.name), resultRecord(job, result, sha256, seconds)),
        target.remove(failureKey(job.name)),
      ]);
      return bytes.length;
    },
    at.scratch,
  );
}

/** Stores a result and compares the digest of the stored object. @throws LqaError OUTPUT_EXISTS, UPLOAD_DAMAGED */
async function store(
  key: string,
  bytes: Uint8Array,
  sha256: string,
  target: ObjectStore,
  replace: boolean,
): Promise<void> {
  const outcome = await target.put(key, bytes, { replace });
  const stored = await target.digest(key);
  if (stored === sha256) return;
  const where = placeOf(target, key);
  if (outcome === "exists")
    fail(KIND.OUTPUT_EXISTS, {
      where,
      expected: `nothing, or SHA-256 ${sha256}`,
      actual: stored ?? "an object that is gone now",
      advice: "Choose another target, or submit with --force to replace it.",
    });
  await target.remove(key);
  fail(KIND.UPLOAD_DAMAGED, { where, expected: `SHA-256 ${sha256}`, actual: stored ?? "no object" });
}

/** Fetches the files of an adapter into the directory, in bounded memory. @returns the path of the adapter */
async function fetched(job: FleetJob, source: ReadableStore, folder: TemporaryDirectory): Promise<string> {
  const [[first]] = job.files as readonly [JobFile];
  const fetches = concurrently(job.files, FILES, (file) => fetchFile(file, source, folder));
  for await (const _fetched of fetches);
  const single = job.files.length === 1 && basename(first) !== CONFIG_FILE;
  return single ? folder.file(basename(first)) : folder.path;
}

/** Fetches an object into the directory, piece by piece. */
async function fetchFile(
  [key, size, version]: JobFile,
  source: ReadableStore,
  folder: TemporaryDirectory,
): Promise<void> {
  const where = placeOf(source, key);
  const name = basename(key);
  if (name === CONFIG_FILE && size > MAX_SIDE_FILE)
    fail(KIND.BUDGET, {
      where,
      expected: `at most ${MAX_SIDE_FILE} bytes for a configuration`,
      actual: size,
    });
  const from = objectSource(source, { key, size, version });
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for (let offset = 0; offset < size; offset += STEP) {
      const bytes = await from.read(offset, STEP);
      if (bytes.length !== Math.min(STEP, size - offset))
        fail(KIND.NETWORK, { where, expected: `${size} bytes`, actual: offset + bytes.length });
      yield bytes;
    }
  };
  try {
    await folder.write(name, pieces());
  } catch (error) {
    if (isLqaError(error, "REMOTE_CHANGED"))
      fail(KIND.REMOTE_CHANGED, {
        where,
        advice: "Submit the source again: the changed adapter is another job.",
        cause: error,
      });
    throw error;
  }
}
