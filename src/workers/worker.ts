/**
 * The thread of a worker (see `pool.ts`): performs one task after the other and answers with its output or its error.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { type ErrorDetails, type ErrorName, isLqaError } from "../errors.ts";
import { type PoolInput, type PoolKind, type PoolOutput, performTask } from "./tasks.ts";

/** An answer. Errors are taken apart, because a clone of an error is no LqaError any more. */
export type Answer = { readonly task: number } & Outcome;

type Outcome =
  | { readonly output: PoolOutput[PoolKind] }
  | { readonly kind: ErrorName; readonly details: ErrorDetails }
  | { readonly message: string; readonly stack: string | undefined };

function answer<K extends PoolKind>({ kind, input }: { kind: K; input: PoolInput[K] }): Outcome {
  try {
    return { output: performTask(kind, input) };
  } catch (error) {
    if (!isLqaError(error)) {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      return { message, stack };
    }
    const { expected, actual, offset, where, advice } = error;
    return { kind: error.kind, details: { expected, actual, offset, where, advice } };
  }
}

parentPort?.on("message", (asked: { task: number; kind: PoolKind; input: PoolInput[PoolKind] }) => {
  parentPort?.postMessage({ task: asked.task, ...answer(asked) });
});
