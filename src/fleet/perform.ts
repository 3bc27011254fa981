/**
 * One job, from its source to its result: fetched, encoded, stored if nothing else is there, checked, recorded.
 *
 * Killed at any moment it leaves a result that is whole or absent, and doing it again gives the same bytes: so a result that
 * is there already is either the same or an error.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { encodeFile } from "../encode-file.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import { CONFIG_FILE } from "../io/adapter-names.ts";
import { readWholeFile } from "../io/file.ts";
import { osError } from "../io/os-error.ts";
import { forgetTemporary, registerTemporary } from "../io/temporary.ts";
import type { Executor } from "../quantize/tasks.ts";
import { concurrently } from "./concurrent.ts";
import { type FleetJob, failureOf, type JobFile, resultKey } from "./job.ts";
import type { Stores } from "./open-store.ts";
import type { Verdict } from "./queue.ts";
import { failureKey, isDone, recordKey, resultRecord, writeFailure, writeRecord } from "./records.ts";
import { type ObjectStore, objectSource, placeOf, STEP } from "./store.ts";

/** What a worker has for its jobs. */
export interface Workplace {
  readonly stores: Stores;
  /** Directory for what is fetched. */
  readonly scratch: string;
  readonly executor: Executor;
  /** The worker has ended and waits for no job: what fails from now on says nothing about it. */
  readonly isAbandoned: () => boolean;
  readonly onDone?: ((job: FleetJob, kept: boolean) => void) | undefined;
  readonly onFailed?:
    | ((job: FleetJob, failure: ReturnType<typeof failureOf>, last: boolean) => void)
    | undefined;
}

/** Errors that may pass by themselves. */
const PASSING: ReadonlySet<string> = new Set(["NETWORK", "IO", "UPLOAD_DAMAGED", "HTTP_RESPONSE"]);

/** Files of an adapter that are fetched at the same time: the configuration beside the weights. */
const FILES = 2;

/** Does a job; what goes wrong is in the verdict. */
export async function performJob(
  job: FleetJob,
  { last }: { readonly last: boolean },
  at: Workplace,
): Promise<Verdict> {
  try {
    const target = await at.stores.open(job.target);
    const key = resultKey(job);
    const kept = job.settings.force !== true && (await isDone(target, job, key));
    if (!kept) await encodeJob(job, key, target, at);
    at.onDone?.(job, kept);
    return { kind: "done" };
  } catch (error) {
    // What only a person can change is the same for every job.
    if (isHalt(error)) return { kind: "halt", error };
    const failure = failureOf(error);
    if (at.isAbandoned()) return { kind: "retry", failure };
    const passing = isLqaError(error) && PASSING.has(error.kind);
    const final = !passing || last;
    at.onFailed?.(job, failure, final);
    if (!final) return { kind: "retry", failure };
    try {
      await writeFailure(await at.stores.open(job.target), job, failure);
    } catch (unwritten) {
      if (isHalt(unwritten)) return { kind: "halt", error: unwritten };
      // The list of the queue has it all the same.
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

async function encodeJob(job: FleetJob, key: string, target: ObjectStore, at: Workplace): Promise<void> {
  const started = performance.now();
  const source = await at.stores.open(job.source);
  const folder = join(at.scratch, job.id);
  registerTemporary(folder);
  try {
    await mkdir(join(folder, "out"), { recursive: true });
    const input = await fetched(job, source, folder);
    const output = join(folder, "out", "result.lqa");
    const { executor } = at;
    const { force, ...settings } = job.settings;
    const result = await encodeFile(input, output, { ...settings, scaleIfMissing: true, executor });
    const bytes = await readWholeFile(output);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    await store(key, bytes, sha256, target, force === true);
    const seconds = (performance.now() - started) / 1000;
    await Promise.all([
      writeRecord(target, recordKey(job.name), resultRecord(job, result, sha256, seconds)),
      target.remove(failureKey(job.name)),
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
    forgetTemporary(folder);
  }
}

/** Stores a result and looks whether it is what was sent. */
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

/** Path of the adapter: where it is, or where its files were fetched to, with bounded memory. */
async function fetched(job: FleetJob, source: ObjectStore, folder: string): Promise<string> {
  const [first] = job.files;
  if (first === undefined)
    fail(KIND.NOT_FOUND, { where: job.name, expected: "files of an adapter", actual: "none" });
  const single = job.files.length === 1 && !first[0].endsWith(CONFIG_FILE);
  if (source.path !== undefined) {
    for (const [key, , version] of job.files)
      if ((await source.head(key))?.version !== version)
        fail(KIND.REMOTE_CHANGED, { where: source.path(key), advice: SUBMIT });
    const path = source.path(first[0]);
    return single ? path : dirname(path);
  }
  const input = join(folder, "in");
  await mkdir(input);
  const fetches = concurrently(job.files, FILES, (file) => fetchFile(file, source, input));
  for await (const _fetched of fetches);
  return single ? join(input, basename(first[0])) : input;
}

/** An object into the directory, piece by piece. */
async function fetchFile([key, size, version]: JobFile, source: ObjectStore, folder: string): Promise<void> {
  const from = objectSource(source, { key, size, version });
  const path = join(folder, basename(key));
  try {
    const file = await open(path, "wx");
    try {
      for (let offset = 0; offset < size; offset += STEP) {
        const bytes = await from.read(offset, STEP);
        if (bytes.length !== Math.min(STEP, size - offset))
          fail(KIND.NETWORK, {
            where: placeOf(source, key),
            expected: `${size} bytes`,
            actual: offset + bytes.length,
          });
        await file.writeFile(bytes);
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isLqaError(error, "REMOTE_CHANGED"))
      fail(KIND.REMOTE_CHANGED, { where: placeOf(source, key), advice: SUBMIT, cause: error });
    throw osError(error, path, "write");
  }
}

const SUBMIT = "Submit the source again: the changed adapter is another job.";
