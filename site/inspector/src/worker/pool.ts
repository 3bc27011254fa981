/**
 * Workers of the worker, which encode: one for each core, as `lqa encode` has threads. They change nothing but the time, and
 * end with the worker that started them.
 *
 * @module
 */
import { type Adapter, parameterCount } from "../../../../src/core/index.ts";
import type { Executor } from "../../../../src/encode/index.ts";
import { type Outcome, outcomeOf, settledOf } from "../../../../src/node/workers/outcome.ts";
import { type Hand, schedule } from "../../../../src/node/workers/schedule.ts";
import {
  type PoolInput,
  type PoolKind,
  type PoolOutput,
  parcel,
} from "../../../../src/node/workers/tasks.ts";

/** The name of a worker that performs tasks. */
export const TASK_WORKER = "task";

/** Parameters from which one more worker pays: they start in some 100 ms. */
const PARAMETERS_PER_WORKER = 1_000_000;
/** More take more memory than they save time. */
const MOST_WORKERS = 8;

interface Asked {
  readonly task: number;
  readonly kind: PoolKind;
  readonly input: PoolInput[PoolKind];
}
type Answer = { readonly task: number } & Outcome;

/** What a worker that performs tasks does with a message. */
export function answerTask({ task, kind, input }: Asked): Answer {
  return { task, ...outcomeOf({ kind, input }) };
}

interface Factory {
  createPolicy(
    name: string,
    rules: { createScriptURL(address: string): string },
  ): { createScriptURL(address: string): string };
}

/** Performs the tasks of an encoding; undefined where this thread alone is as fast. */
export function executorFor({ modules }: Adapter): Executor | undefined {
  const parameters = modules.reduce((sum, module) => sum + parameterCount(module), 0);
  const count = Math.min(
    navigator.hardwareConcurrency,
    MOST_WORKERS,
    Math.floor(parameters / PARAMETERS_PER_WORKER),
  );
  if (count < 2) return undefined;
  const address = ownAddress();
  const hands = Array.from({ length: count }, () =>
    handOf(new Worker(address, { type: "module", name: TASK_WORKER })),
  );
  const run = <K extends PoolKind>(
    kind: K,
    inputs: Iterable<PoolInput[K]>,
    done: (name: string) => Promise<void>,
  ): Promise<PoolOutput[K][]> => schedule(hands, kind, inputs, done);
  return { run };
}

/** This script, as the policy wants addresses of scripts. */
function ownAddress(): string {
  const { trustedTypes, location } = globalThis as unknown as {
    trustedTypes?: Factory;
    location: { href: string };
  };
  const policy = trustedTypes?.createPolicy("lqa", { createScriptURL: (address) => address });
  return policy?.createScriptURL(location.href) ?? location.href;
}

/** A worker that performs tasks, one at a time. */
function handOf(worker: Worker): Hand {
  let number = 0;
  return (kind, input) =>
    new Promise((resolve) => {
      const task = number++;
      worker.onmessage = ({ data }: MessageEvent<Answer>) => {
        if (data.task === task) resolve(settledOf(data));
      };
      worker.onerror = (event) => {
        event.preventDefault();
        resolve({ error: new Error(`a worker ended: ${event.message}`) });
      };
      try {
        const { input: own, transfer } = parcel(kind, input);
        worker.postMessage({ task, kind, input: own }, transfer);
      } catch (error) {
        // Factors that are read only now may be unreadable.
        resolve({ error });
      }
    });
}
