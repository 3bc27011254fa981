/**
 * One job of the fleet: encode an adapter at one location into an `.lqa` file at another.
 *
 * Its id is a digest of everything that decides the result, including the versions of the source's objects: the same work has
 * the same id, wherever and whenever it is submitted. Anyone who can write to the queue can write a job, so a worker treats it
 * as untrusted: every field has one form and a bound, and no field becomes a path on the worker's machine.
 *
 * @module
 */
import { createHash } from "node:crypto";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import { FILE_BYTES } from "../limits.ts";
import { isPlainKey, readLocation } from "../node/objects/location.ts";
import { OWN_PREFIX } from "../node/objects/store.ts";
import { type FoundAdapter, MOST_FILES } from "./adapters.ts";
import { type FleetSettings, inWords, parseSettings } from "./settings.ts";

/** An object of the source: key, size in bytes, version. */
export type JobFile = readonly [key: string, size: number, version: string];

/** A job. */
export interface FleetJob {
  readonly id: string;
  /** Locations of source and target, `s3://bucket/prefix`. */
  readonly source: string;
  readonly target: string;
  /** Path of the adapter below the source, and of its `.lqa` file (without the extension) below the target. */
  readonly name: string;
  readonly files: readonly JobFile[];
  readonly settings: FleetSettings;
}

/** An untrusted entry of a queue: the text of a job, and the id of the entry. */
export interface QueuedJob {
  readonly id: string;
  readonly text: string;
}

/** Most characters of a job in a queue: enough for 64 files with the longest keys and escapes. */
const MOST_TEXT = 2 ** 18;
const MOST_VERSION = 256;
const FIELDS = ["id", "source", "target", "name", "files", "settings"] as const;

/** The job for an adapter. @throws LqaError JOB_INVALID if no queue may carry it, for example because of its name */
export function jobOf(
  source: string,
  target: string,
  adapter: FoundAdapter,
  settings: FleetSettings,
): FleetJob {
  return parseJob(jobEntry(source, target, adapter, settings));
}

/** The same as an entry of a queue, unchecked, together with the adapter's name. */
export function jobEntry(
  source: string,
  target: string,
  { name, files }: FoundAdapter,
  settings: FleetSettings,
): QueuedJob & Pick<FleetJob, "name"> {
  const job = {
    source,
    target,
    name: name === "" ? lastPart(source) : name,
    files: files.map(({ key, size, version }): JobFile => [key, size, version]),
    settings,
  };
  const id = idOf(job);
  return { id, name: job.name, text: JSON.stringify({ id, ...job }) };
}

/** Digest of all other fields, with the settings sorted. It begins with a letter because BullMQ reserves ids that are numbers. */
function idOf({ source, target, name, files, settings }: Omit<FleetJob, "id">): string {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  const sorted = Object.fromEntries(given.sort(([x], [y]) => (x < y ? -1 : 1)));
  const text = JSON.stringify({ source, target, name, files, settings: sorted });
  return `j${createHash("sha256").update(text).digest("hex").slice(0, 31)}`;
}

function lastPart(location: string): string {
  return location.replace(/\/+$/, "").replace(/^.*\//s, "") || "adapter";
}

/** Key of the result below the target. */
export function resultKey({ name }: Pick<FleetJob, "name">): string {
  return `${name}.lqa`;
}

/** Keys, below the target, of the records of results and of failures. */
export const RECORDS: string = `${OWN_PREFIX}records/`;
export const FAILURES: string = `${OWN_PREFIX}failures/`;

export const recordKey = (name: string): string => `${RECORDS}${name}.json`;
export const failureKey = (name: string): string => `${FAILURES}${name}.json`;

/**
 * Parses a job from its text in a queue.
 *
 * It must have exactly the fields of {@link FleetJob}. Locations are `s3://bucket/prefix`; name and keys are plain, and all
 * keys are in one directory; settings are those of `lqa fleet submit`; the id is the digest of the other fields and equals the
 * id of the entry.
 *
 * @throws LqaError JOB_INVALID for anything else, with the field
 */
export function parseJob({ id: entry, text }: QueuedJob): FleetJob {
  const invalid = (expected: string, actual: unknown): never =>
    fail(KIND.JOB_INVALID, {
      where: `queue entry ${JSON.stringify(entry.slice(0, 80))}`,
      expected,
      actual: inWords(actual),
    });
  if (text.length > MOST_TEXT) invalid(`at most ${MOST_TEXT} characters`, text.length);
  let job: unknown;
  try {
    job = JSON.parse(text);
  } catch {
    return invalid("a JSON object", text);
  }
  if (typeof job !== "object" || job === null || Array.isArray(job)) return invalid("a JSON object", text);
  const names = Object.keys(job);
  if (names.length !== FIELDS.length || !FIELDS.every((name) => names.includes(name)))
    return invalid(`the fields ${FIELDS.join(", ")}`, names.slice(0, 12).join(", "));
  const { id, source, target, name, files, settings } = job as Readonly<Record<string, unknown>>;
  if (typeof id !== "string" || !/^j[0-9a-f]{31}$/.test(id) || id !== entry)
    return invalid("an id of j and 31 hexadecimal digits, that of its entry", id);
  for (const [field, location] of [
    ["source", source],
    ["target", target],
  ] as const)
    if (typeof location !== "string" || readLocation(location) === undefined)
      return invalid(`${field}: s3://bucket/prefix`, location);
  if (typeof name !== "string" || !isPlainKey(failureKey(name)) || name.startsWith(OWN_PREFIX))
    return invalid("name: a path of plain names", name);
  if (!Array.isArray(files) || files.length < 1 || files.length > MOST_FILES)
    return invalid(`files: 1 to ${MOST_FILES}`, Array.isArray(files) ? files.length : files);
  for (const file of files)
    if (!isJobFile(file)) return invalid("files: a plain key, a size and a version each", file);
  const keys = (files as JobFile[]).map(([key]) => key);
  const folder = keys[0]!.lastIndexOf("/");
  if (keys.some((key) => key.lastIndexOf("/") !== folder || !key.startsWith(keys[0]!.slice(0, folder + 1))))
    return invalid(
      "files: keys in one directory",
      keys.find((key) => key.lastIndexOf("/") !== folder),
    );
  if (new Set(keys).size < keys.length) return invalid("files: different keys", "one of them twice");
  const parsed = {
    source: source as string,
    target: target as string,
    name,
    files: files as JobFile[],
    settings: parseSettings(settings, invalid),
  };
  if (id !== idOf(parsed)) return invalid(`id ${idOf(parsed)}, the digest of the other fields`, id);
  return { id, ...parsed };
}

function isJobFile(file: unknown): file is JobFile {
  if (!Array.isArray(file) || file.length !== 3) return false;
  const [key, size, version] = file as unknown[];
  return (
    typeof key === "string" &&
    isPlainKey(key) &&
    Number.isSafeInteger(size) &&
    (size as number) >= 0 &&
    (size as number) <= FILE_BYTES.core &&
    typeof version === "string" &&
    version.length <= MOST_VERSION &&
    // Versions become headers of requests.
    /^[\x20-\x7e]*$/.test(version)
  );
}

/** The name of an entry's adapter, for lists that may include invalid jobs; for these, the id. */
export function nameIn({ id, text }: QueuedJob): string {
  try {
    return parseJob({ id, text }).name;
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return id.slice(0, 80);
  }
}
