/**
 * From the options of the fleet's commands to its queue and its stores.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { openQueue } from "../fleet/open-queue.ts";
import { createStores, type Stores } from "../fleet/open-store.ts";
import type { WorkQueue } from "../fleet/queue.ts";
import type { WorkerOptions } from "../fleet/work.ts";
import { type Arguments, numberOption, textOption } from "./command.ts";

/** The queue that is meant. @throws LqaError USAGE if none is */
export async function queueOf(args: Arguments): Promise<WorkQueue> {
  const address = textOption(args, "queue") ?? process.env.LQA_FLEET_QUEUE;
  if (address === undefined || address === "")
    fail(KIND.USAGE, {
      where: "queue",
      expected: "--queue redis://host:6379",
      actual: "neither --queue nor $LQA_FLEET_QUEUE",
      advice:
        "Start Redis or Valkey and give its address. On one machine no queue is needed: lqa encode DIR --out-dir DIR resumes.",
    });
  return await openQueue(address, {
    name: textOption(args, "queue-name"),
    patienceSeconds: numberOption(args, "patience"),
  });
}

/** The roots that jobs may name, as the options or the environment have them. */
export function allowedOf(args: Arguments): WorkerOptions["allow"] {
  const roots = (what: "source" | "target"): string[] => {
    const text =
      textOption(args, `allow-${what}`) ?? process.env[`LQA_FLEET_ALLOW_${what.toUpperCase()}`] ?? "";
    // A prefix may have commas itself.
    return text === "" ? [] : text.split(/,(?=s3:\/\/)/);
  };
  return { sources: roots("source"), targets: roots("target") };
}

/** Stores as the options have them. */
export function storesOf(args: Arguments): Stores {
  // What the SDK says about versions of Node concerns people who install it, not people who run a command.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
  return createStores({ s3: { endpoint: textOption(args, "endpoint") } });
}

/** A signal that SIGTERM and SIGINT abort; the second one has its usual effect. */
export function endSignal(onFirst: () => void): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  const names = ["SIGTERM", "SIGINT"] as const;
  const stop = (): void => {
    end();
    onFirst();
    controller.abort();
  };
  const end = (): void => {
    for (const name of names) process.off(name, stop);
  };
  for (const name of names) process.on(name, stop);
  return { signal: controller.signal, end };
}
