/**
 * Why an adapter has no result: an error as it is kept in a queue and in the catalogue.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { isLqaError, LqaError } from "../errors.ts";

/** Why an adapter has no result. */
export interface FleetFailure {
  /** Code and name of the error's entry of the catalogue. */
  readonly code: string;
  readonly kind: string;
  readonly message: string;
  readonly advice: string;
}

/** Most characters of each text. */
const MOST = 2000;
/** Most characters of a failure as JSON: four texts, every character of them escaped. */
const MOST_TEXT = 4 * 6 * MOST;

/** An error as it is kept. What is not of this library is a defect of it. */
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

/** A failure from its JSON, which others may have written; undefined for anything that is none. */
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

/** The failure of a job whose workers ended again and again. */
export function lost(times: number): LqaError {
  return new LqaError(KIND.WORKER_LOST, {
    expected: `at most ${times} workers that end`,
    actual: "one more",
  });
}
