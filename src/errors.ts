/**
 * The only error class of this library (spec clause 15).
 *
 * Every fault of a file, a source adapter or the operating system surfaces as an {@link LqaError} whose catalogue entry
 * (`name`) never changes its meaning. Programming mistakes (a wrong argument type) stay `TypeError` or `RangeError`. Use
 * {@link isLqaError} instead of `instanceof`: it also recognises errors from a second copy of the package.
 *
 * @module
 */
import type * as CATALOGUE from "./error-catalogue.ts";
import { ABORTED } from "./error-catalogue.ts";

/** Name of an error in the catalogue. */
export type ErrorName = keyof typeof CATALOGUE;

/** What the catalogue says about one kind of error. */
export interface ErrorKind<Name extends ErrorName = ErrorName> {
  /** Its name, which never changes its meaning. */
  readonly kind: Name;
  /** Stable code, e.g. `LQA-M012`. */
  readonly code: string;
  /** Clause of spec/lqa-v1.md, or `-` where the specification has nothing to say. */
  readonly clause: string;
  readonly summary: string;
  /** What to do about it. */
  readonly advice: string;
}

/** Class letter of an error code (spec clause 15). */
export type ErrorClass = "T" | "M" | "V" | "I" | "U" | "L" | "B" | "X" | "C" | "S";

/** Exit codes of the classes whose code is not 1. */
const EXIT_CODES: Partial<Record<ErrorClass, number>> = { U: 3, L: 4, X: 2 };

/** Details of one failure, in addition to its kind. */
export interface ErrorDetails {
  /** What the specification, the configuration or the caller required. */
  readonly expected?: string | number | undefined;
  /** The value found instead. */
  readonly actual?: string | number | undefined;
  /** Byte offset of the fault in the file. */
  readonly offset?: number | undefined;
  /** Record, tensor or path the fault belongs to, e.g. `module "model.layers.0.self_attn.q_proj"`. */
  readonly where?: string | undefined;
  /** What happened, in one sentence. Replaces the catalogue's summary if something more exact is known. */
  readonly summary?: string | undefined;
  /** Replaces the catalogue's advice in the same way. */
  readonly advice?: string | undefined;
  /** Underlying error, e.g. of the operating system. */
  readonly cause?: unknown;
}

/** The only error that bad input can cause. */
export class LqaError extends Error implements ErrorKind {
  override readonly name = "LqaError";
  /** Stable code, e.g. `LQA-M012`. */
  readonly code: string;
  /** Catalogue name, e.g. `PADDING_NONZERO`. */
  readonly kind: ErrorName;
  /** Class letter: the first letter of the number in `code`. */
  readonly class: ErrorClass;
  /** Clause of spec/lqa-v1.md, or `-` if no clause applies. */
  readonly clause: string;
  /** What happened, in one sentence: the catalogue's summary, or something more exact. */
  readonly summary: string;
  /** What to do about it. */
  readonly advice: string;
  readonly expected: string | number | undefined;
  readonly actual: string | number | undefined;
  readonly offset: number | undefined;
  readonly where: string | undefined;

  /**
   * @param kind an entry of the catalogue, e.g. `ERRORS.IO`, or another error whose kind to reuse
   * @param details what is known about this failure
   */
  constructor(kind: ErrorKind, details: ErrorDetails = {}) {
    super(message(kind, details), details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind.kind;
    this.code = kind.code;
    this.class = kind.code[4] as ErrorClass;
    this.clause = kind.clause;
    this.summary = details.summary ?? kind.summary;
    this.advice = details.advice ?? kind.advice;
    this.expected = details.expected;
    this.actual = details.actual;
    this.offset = details.offset;
    this.where = details.where;
  }

  /** Exit code a command line tool returns for this error: 1 invalid, 2 usage or I/O, 3 unsupported, 4 limit. */
  get exitCode(): number {
    return EXIT_CODES[this.class] ?? 1;
  }
}

function message({ kind, code, clause, summary }: ErrorKind, d: ErrorDetails): string {
  let text = `${code} ${kind}: ${d.summary ?? summary}`;
  if (d.where !== undefined) text += ` In ${d.where}.`;
  if (d.expected !== undefined || d.actual !== undefined) {
    const expected = d.expected === undefined ? "" : `expected ${d.expected}`;
    const actual = d.actual === undefined ? "" : `found ${d.actual}`;
    text += ` (${[expected, actual].filter(Boolean).join(", ")})`;
  }
  if (d.offset !== undefined) text += ` at byte ${d.offset}`;
  if (clause !== "-") text += ` [spec ${clause}]`;
  return text;
}

/** Throws an {@link LqaError}. It is a function so that failing paths stay one expression. */
export function fail(kind: ErrorKind, details?: ErrorDetails): never {
  throw new LqaError(kind, details);
}

/** True if `value` is an {@link LqaError} (of any copy of this package), of kind `kind` if given. */
export function isLqaError(value: unknown, kind?: ErrorName): value is LqaError {
  if (!(value instanceof Error) || value.name !== "LqaError") return false;
  return kind === undefined || (value as LqaError).kind === kind;
}

/** Returns the error that `check` throws, if it is an error of this library; rethrows others. */
export function caught(check: () => void): LqaError | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return error;
  }
}

/** Throws if `signal` is aborted. @throws LqaError ABORTED, with the reason as cause */
export function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) fail(ABORTED, { cause: signal.reason });
}
