/**
 * One piece of work of the fleet: an adapter at one location that is to become an `.lqa` file at another.
 *
 * Its id is a digest of all that decides the result, versions of the source's objects included: the same work has the same
 * id wherever and whenever it is submitted.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { EncodeFileOptions } from "../encode-file.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError, LqaError } from "../errors.ts";
import type { FoundAdapter } from "./adapters.ts";
import { OWN_PREFIX } from "./store.ts";

/** How the adapters of a fleet are encoded, and whether what is there already is replaced. */
export type FleetSettings = Omit<
  EncodeFileOptions,
  "onProgress" | "executor" | "signal" | "importance" | "weighted" | "workers" | "scaleIfMissing" | "scratch"
>;

/** An object of the source: key, bytes, version. */
export type JobFile = readonly [key: string, size: number, version: string];

/** A piece of work, as it is in the queue. */
export interface FleetJob {
  readonly id: string;
  /** Locations. */
  readonly source: string;
  readonly target: string;
  /** Path of the adapter below the source, and of its file below the target. */
  readonly name: string;
  readonly files: readonly JobFile[];
  readonly settings: FleetSettings;
}

/** The work that an adapter is. */
export function jobOf(
  source: string,
  target: string,
  { name, files }: FoundAdapter,
  settings: FleetSettings,
): FleetJob {
  const sorted = Object.entries(settings).filter(([, value]) => value !== undefined);
  const job = {
    source,
    target,
    name: name === "" ? lastPart(source) : name,
    files: files.map(({ key, size, version }): JobFile => [key, size, version]),
    settings: Object.fromEntries(sorted.sort(([x], [y]) => (x < y ? -1 : 1))),
  };
  // A letter first: queues take a number for one of their own.
  return { id: `j${createHash("sha256").update(JSON.stringify(job)).digest("hex").slice(0, 31)}`, ...job };
}

function lastPart(location: string): string {
  return location.replace(/[/\\]+$/, "").replace(/^.*[/\\]/s, "") || "adapter";
}

/** Key of the result below the target. */
export function resultKey({ name }: Pick<FleetJob, "name">): string {
  return `${name}.lqa`;
}

/** Where what is known of an adapter is, below the target. */
export const RECORDS: string = `${OWN_PREFIX}records/`;
export const FAILURES: string = `${OWN_PREFIX}failures/`;

/**
 * A job from its text in a queue.
 *
 * @throws LqaError USAGE for anything that is none
 */
export function parseJob(text: string): FleetJob {
  let job: Partial<FleetJob> | null;
  try {
    job = JSON.parse(text) as Partial<FleetJob> | null;
  } catch (cause) {
    return fail(KIND.USAGE, { where: "queue", expected: "a job of lqa fleet submit", cause });
  }
  const { id, source, target, name, files, settings } = job ?? {};
  const texts = [id, source, target, name].every((one) => typeof one === "string" && one !== "");
  const listed =
    Array.isArray(files) &&
    files.every(
      (file) =>
        Array.isArray(file) &&
        typeof file[0] === "string" &&
        Number.isSafeInteger(file[1]) &&
        file[1] >= 0 &&
        typeof file[2] === "string",
    );
  if (!texts || !listed || typeof settings !== "object" || settings === null)
    fail(KIND.USAGE, { where: "queue", expected: "a job of lqa fleet submit", actual: text.slice(0, 80) });
  return job as FleetJob;
}

/** Why an adapter has no result. */
export interface FleetFailure {
  /** Code and name of the error's entry of the catalogue. */
  readonly code: string;
  readonly kind: string;
  readonly message: string;
  readonly advice: string;
}

/** An error as it is kept. What is not of this library is a defect of it. */
export function failureOf(error: unknown): FleetFailure {
  if (isLqaError(error)) {
    const { code, kind, message, advice } = error;
    return { code, kind, message: message.slice(0, 2000), advice };
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    code: "LQA-INTERNAL",
    kind: "INTERNAL",
    message: message.slice(0, 2000),
    advice: "This is a bug in lqa. Please report it with the adapter that shows it.",
  };
}

/** The failure of a job whose workers ended again and again. */
export function lost(times: number): LqaError {
  return new LqaError(KIND.WORKER_LOST, {
    expected: `at most ${times} workers that end`,
    actual: "one more",
  });
}
