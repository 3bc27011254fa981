/**
 * The record of each adapter: a small object below the target that describes a result or a failure.
 *
 * A worker stores the result before its record, and the record names its job: a submission that finds both skips the
 * adapter. Anyone who can write to the bucket can write a record, so the reader is strict.
 *
 * @module
 */

import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { decodeUtf8 } from "../model/bytes.ts";
import type { EncodedFile } from "../node/encode-file.ts";
import { type ObjectStore, placeOf, type ReadableStore } from "../node/objects/store.ts";
import { type FleetFailure, parseFailure } from "./failure.ts";
import { type FleetJob, failureKey, recordKey } from "./job.ts";

/** The record of an encoded adapter. */
export interface ResultRecord {
  readonly state: "done";
  readonly name: string;
  /** Id of the job. */
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
  /** Seconds that the worker took to fetch, encode and store. */
  readonly seconds: number;
}

/** The record of an adapter that failed for good. */
export interface FailureRecord extends FleetFailure {
  readonly state: "failed";
  readonly name: string;
  readonly job: string;
  readonly source: string;
}

export type FleetRecord = ResultRecord | FailureRecord;

/** Most bytes of a record. */
const MOST = 65536;

/** Makes the record of a result. */
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

/** Stores a record and replaces an older one. */
export async function writeRecord(
  store: ObjectStore,
  key: string,
  record: FleetRecord,
  signal?: AbortSignal,
): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
  await store.put(key, bytes, { replace: true, signal });
}

/** Stores the record of a job that failed for good. */
export async function writeFailure(store: ObjectStore, job: FleetJob, failure: FleetFailure): Promise<void> {
  const { id, name, source } = job;
  await writeRecord(store, failureKey(name), { state: "failed", name, job: id, source, ...failure });
}

/**
 * Reads the record with this key; undefined if there is none.
 *
 * @throws LqaError IO for an object that is not a record, or that is a record of another adapter
 */
export async function readRecord(
  store: ReadableStore,
  key: string,
  signal?: AbortSignal,
): Promise<FleetRecord | undefined> {
  const record = await recordAt(store, key, signal);
  return record === "broken"
    ? fail(KIND.IO, {
        where: JSON.stringify(placeOf(store, key)),
        expected: "a record of lqa fleet",
        actual: "something else",
        advice:
          "Submit the source again: a worker then replaces the object. Check who can write to the target.",
      })
    : record;
}

async function recordAt(
  store: ReadableStore,
  key: string,
  signal: AbortSignal | undefined,
): Promise<FleetRecord | "broken" | undefined> {
  const bytes = await store.read(key, { offset: 0, length: MOST }, signal);
  return bytes && (parseRecord(bytes, key) ?? "broken");
}

const TEXTS = ["name", "job", "source", "dialect", "contentId", "fileId", "sha256"] as const;
const NUMBERS = ["averageBits", "bitsPerParameter", "relativeError", "seconds"] as const;
const COUNTS = ["inputBytes", "outputBytes", "parameters", "modules"] as const;

/** Parses a record and keeps only its known fields; undefined for anything else. */
function parseRecord(bytes: Uint8Array, key: string): FleetRecord | undefined {
  let text: string;
  let found: Readonly<Record<string, unknown>>;
  try {
    text = decodeUtf8(bytes);
    found = (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
  const isText = (field: string): boolean => typeof found[field] === "string";
  const { state, name, job, source } = found;
  if (state === "failed") {
    const failure = parseFailure(text);
    if (failure === undefined || !["name", "job", "source"].every(isText)) return undefined;
    if (key !== failureKey(name as string)) return undefined;
    return { state, name: name as string, job: job as string, source: source as string, ...failure };
  }
  const isNumber = (field: string): boolean => Number.isFinite(found[field]) && (found[field] as number) >= 0;
  const isCount = (field: string): boolean => isNumber(field) && Number.isSafeInteger(found[field]);
  const sound = TEXTS.every(isText) && NUMBERS.every(isNumber) && COUNTS.every(isCount);
  if (state !== "done" || !sound || key !== recordKey(name as string)) return undefined;
  const fields = [...TEXTS, ...NUMBERS, ...COUNTS].map((field) => [field, found[field]]);
  return { state, ...Object.fromEntries(fields) } as ResultRecord;
}

/** Whether a job is done: its record exists, and so does its result with the recorded size. */
export async function isDone(
  store: ReadableStore,
  job: FleetJob,
  key: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const record = await recordAt(store, recordKey(job.name), signal);
  if (record === undefined || record === "broken" || record.state !== "done" || record.job !== job.id)
    return false;
  return (await store.head(key, signal))?.size === record.outputBytes;
}
