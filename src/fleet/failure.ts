/**
 * The reason why an adapter has no result: an error in the form that the queue and the catalogue keep.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { isLqaError, LqaError } from "../errors.ts";

/** The reason why an adapter has no result. */
export interface FleetFailure {
  /** Code and kind of the error in the error catalogue. */
  readonly code: string;
  readonly kind: string;
  readonly message: string;
  readonly advice: string;
}

/** Most characters of each text. */
const MOST = 2000;
/** Most characters of a failure as JSON: four texts whose characters are all escaped. */
const MOST_TEXT = 4 * 6 * MOST;

/** Converts an error to a failure. An error that is not an LqaError is a bug in this library. */
export function failureOf(error: unknown): FleetFailure {
  if (isLqaError(error)) {
    const { code, kind, message, advice } = error;
    return { code, kind, message: message.slice(0, MOST), advice: advice.slice(0, MOST) };
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    code: "LQA-INTERNAL",
    kind: "INTERNAL",
    message: message.slice(0, MOST),
    advice: "This is a bug in lqa. Please report it with the adapter that shows it.",
  };
}

/** Parses a failure from untrusted JSON; undefined if it is not one. */
export function parseFailure(text: string): FleetFailure | undefined {
  if (text.length > MOST_TEXT) return undefined;
  try {
    const { code, kind, message, advice } = (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>;
    const texts = [code, kind, message, advice];
    return texts.every((one) => typeof one === "string" && one.length <= MOST)
      ? ({ code, kind, message, advice } as FleetFailure)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The failure of a job that lost all its workers: each ended while it had the job. */
export function lost(times: number): LqaError {
  return new LqaError(KIND.WORKER_LOST, {
    expected: `at most ${times} workers that end`,
    actual: "one more",
  });
}
