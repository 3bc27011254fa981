/**
 * What the fleet knows of each adapter: a record of a result, or of a failure, as a small object below the target.
 *
 * A result is there before its record, and a record says which work it is of: a submission that finds both leaves the work
 * out. Anyone who can write to the bucket can write a record, so it is read strictly.
 *
 * @module
 */

import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { decodeUtf8 } from "../model/bytes.ts";
import type { EncodedFile } from "../node/encode-file.ts";
import { type FleetFailure, parseFailure } from "./failure.ts";
import { type FleetJob, failureKey, recordKey } from "./job.ts";
import { type ObjectStore, placeOf, type ReadableStore } from "./store.ts";

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
 * @throws LqaError IO for an object that is no record, or that of another adapter
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

/** A record from its bytes, with its own fields alone; undefined for anything else. */
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

/** Whether this work is done: its record is there, and so is its result. */
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
