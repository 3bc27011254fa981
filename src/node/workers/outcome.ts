/**
 * The outcome of a task, in a form that can be posted between threads. Errors are split into fields, because a cloned error is no
 * longer an LqaError.
 *
 * @module
 */
import * as ERRORS from "../../error-catalogue.ts";
import { type ErrorDetails, type ErrorName, isLqaError, LqaError } from "../../errors.ts";
import type { Settled } from "./schedule.ts";
import { type PoolInput, type PoolKind, type PoolOutput, performTask } from "./tasks.ts";

/** An output, or the fields of an error. */
export type Outcome =
  | { readonly output: PoolOutput[PoolKind] }
  | { readonly kind: ErrorName; readonly details: ErrorDetails }
  | { readonly message: string; readonly stack: string | undefined };

/** Performs a task on this thread. Never throws. */
export function outcomeOf<K extends PoolKind>({
  kind,
  input,
}: {
  readonly kind: K;
  readonly input: PoolInput[K];
}): Outcome {
  try {
    return { output: performTask(kind, input) };
  } catch (error) {
    if (!isLqaError(error)) {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      return { message, stack };
    }
    const { expected, actual, offset, where, advice, summary } = error;
    return { kind: error.kind, details: { expected, actual, offset, where, advice, summary } };
  }
}

/** Converts an outcome after it was received. */
export function settledOf<K extends PoolKind>(outcome: Outcome): Settled<PoolOutput[K]> {
  if ("output" in outcome) return { output: outcome.output as PoolOutput[K] };
  // biome-ignore lint/performance/noDynamicNamespaceImportAccess: the name of the error comes from another thread
  if ("kind" in outcome) return { error: new LqaError(ERRORS[outcome.kind], outcome.details) };
  return { error: Object.assign(new Error(outcome.message), { stack: outcome.stack }) };
}
