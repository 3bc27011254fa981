/**
 * What the fleet knows of each adapter: a record of a result, or of a failure, as a small object below the target.
 *
 * A result is there before its record, and a record says which work it is of: so whoever finds both need not do it again.
 *
 * @module
 */

import type { EncodedFile } from "../encode-file.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { decodeUtf8 } from "../model/bytes.ts";
import { FAILURES, type FleetFailure, type FleetJob, RECORDS } from "./job.ts";
import type { ObjectStore } from "./store.ts";

/** An adapter that was encoded. */
export interface ResultRecord {
  readonly state: "done";
  readonly name: string;
  /** Id of the work. */
  readonly job: string;
  readonly source: string;
  readonly dialect: string;
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly parameters: number;
  readonly modules: number;
  readonly averageBits: number;
  readonly bitsPerParameter: number;
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖². */
  readonly relativeError: number;
  readonly contentId: string;
  readonly fileId: string;
  readonly sha256: string;
  /** Time for reading, encoding and writing on the worker. */
  readonly seconds: number;
}

/** An adapter that could not be. */
export interface FailureRecord extends FleetFailure {
  readonly state: "failed";
  readonly name: string;
  readonly job: string;
  readonly source: string;
}

export type FleetRecord = ResultRecord | FailureRecord;

/** Most bytes of a record. */
const MOST = 65536;

export const recordKey = (name: string): string => `${RECORDS}${name}.json`;
export const failureKey = (name: string): string => `${FAILURES}${name}.json`;

/** The record of a result. */
export function resultRecord(
  job: FleetJob,
  result: EncodedFile,
  sha256: string,
  seconds: number,
): ResultRecord {
  const { dialect, inputBytes, outputBytes, parameters, averageBits, bitsPerParameter, relativeError } =
    result;
  return {
    state: "done",
    name: job.name,
    job: job.id,
    source: job.source,
    dialect,
    inputBytes,
    outputBytes,
    parameters,
    modules: result.modules.length,
    averageBits,
    bitsPerParameter,
    relativeError,
    contentId: result.contentId,
    fileId: result.fileId,
    sha256,
    seconds: Number(seconds.toFixed(3)),
  };
}

/** Stores a record, in the place of an older one. */
export async function writeRecord(
  store: ObjectStore,
  key: string,
  record: FleetRecord,
  signal?: AbortSignal,
): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
  await store.put(key, bytes, { replace: true, signal });
}

/** Stores that a job failed for good. */
export async function writeFailure(store: ObjectStore, job: FleetJob, failure: FleetFailure): Promise<void> {
  const { id, name, source } = job;
  await writeRecord(store, failureKey(name), { state: "failed", name, job: id, source, ...failure });
}

/**
 * The record of that key; undefined if there is none.
 *
 * @throws LqaError IO for an object that is no record
 */
export async function readRecord(
  store: ObjectStore,
  key: string,
  signal?: AbortSignal,
): Promise<FleetRecord | undefined> {
  const bytes = await store.read(key, { offset: 0, length: MOST }, signal);
  if (bytes === undefined) return undefined;
  try {
    const record = JSON.parse(decodeUtf8(bytes)) as FleetRecord | null;
    if (record?.state === "done" || record?.state === "failed") return record;
  } catch {
    // Told below.
  }
  return fail(KIND.IO, {
    where: key,
    expected: "a record of lqa fleet",
    actual: "something else",
    advice: "Remove the object; the next run of the fleet writes it again.",
  });
}

/** Whether this work is done: its record is there, and so is its result. */
export async function isDone(
  store: ObjectStore,
  job: FleetJob,
  key: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const record = await readRecord(store, recordKey(job.name), signal);
  if (record?.state !== "done" || record.job !== job.id) return false;
  return (await store.head(key, signal))?.size === record.outputBytes;
}
