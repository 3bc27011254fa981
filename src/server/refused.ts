/**
 * Errors as answers: refusals by the server itself, and errors of an adapter.
 *
 * @module
 */
import { isLqaError } from "../errors.ts";

/** Names of the errors that the server raises itself, with their status. */
export const REFUSALS = {
  BAD_REQUEST: 400,
  NO_SUCH_CALL: 404,
  NO_SUCH_MODULE: 404,
  TOO_SLOW: 408,
  TOO_LARGE: 413,
  TOO_MANY_REQUESTS: 429,
  NOT_AVAILABLE: 501,
  BUSY: 503,
  STOPPING: 503,
  TIMEOUT: 504,
} as const;

/** The reason why the server does not serve a request. */
export class Refused extends Error {
  readonly kind: keyof typeof REFUSALS;
  /** What the client can do; undefined if there is nothing. */
  readonly advice: string | undefined;

  constructor(kind: keyof typeof REFUSALS, message: string, advice?: string) {
    super(message);
    this.kind = kind;
    this.advice = advice;
  }
}

/** Throws a refusal. It is a function so that failing paths stay one expression. @throws Refused */
export function refuse(kind: keyof typeof REFUSALS, message: string, advice?: string): never {
  throw new Refused(kind, message, advice);
}

/** Errors of the catalogue that the request itself causes. */
const OF_THE_REQUEST = ["ACTIVATION_SHAPE", "CANNOT_APPLY", "USAGE"];

/** The status of an error: it says whether request, file or server is at fault, and whether a retry can help. */
export function statusOf(error: unknown): number {
  if (error instanceof Refused) return REFUSALS[error.kind];
  if (!isLqaError(error)) return 500;
  if (error.kind === "UNKNOWN_ADAPTER") return 404;
  if (OF_THE_REQUEST.includes(error.kind)) return 400;
  if (error.kind === "BUDGET") return 503;
  // Class X: the store does not answer now, and may later. Everything else is a bad file.
  return error.class === "X" ? 503 : 502;
}

/** The body of an error's answer. Details of an unexpected error go into the log only. */
export function errorBody(error: unknown, id: string): Readonly<Record<string, unknown>> {
  if (error instanceof Refused)
    return { error: error.kind, message: error.message, advice: error.advice, id };
  if (!isLqaError(error)) return { error: "INTERNAL", message: "internal error", id };
  const { kind, code, message, expected, actual, advice } = error;
  return { error: kind, code, message, expected, actual, advice, id };
}
