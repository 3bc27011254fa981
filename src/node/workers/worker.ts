/**
 * The script of a worker thread (see `pool.ts`): performs one task after the other and answers with its output or its error.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { type Outcome, outcomeOf } from "./outcome.ts";
import type { PoolInput, PoolKind } from "./tasks.ts";

/** An answer, with the number of its task. */
export type WorkerAnswer = { readonly task: number } & Outcome;

parentPort?.on("message", (asked: { task: number; kind: PoolKind; input: PoolInput[PoolKind] }) => {
  parentPort?.postMessage({ task: asked.task, ...outcomeOf(asked) });
});
