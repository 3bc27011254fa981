/**
 * Opens the queue and the stores that the options of the fleet commands name.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { openQueue } from "../fleet/open-queue.ts";
import type { WorkQueue } from "../fleet/queue.ts";
import type { WorkerOptions } from "../fleet/work.ts";
import { createStores, type StoreOptions, type Stores } from "../node/objects/open-store.ts";
import { type Arguments, numberOption, textOption } from "./command.ts";

/** The queue to use. @throws LqaError USAGE if neither the option nor the environment names one */
export async function queueOf(args: Arguments): Promise<WorkQueue> {
  const address = textOption(args, "queue") ?? process.env.LQA_FLEET_QUEUE;
  if (address === undefined || address === "")
    fail(KIND.USAGE, {
      where: "queue",
      expected: "--queue redis://host:6379",
      actual: "neither --queue nor $LQA_FLEET_QUEUE",
      advice:
        "Start Redis or Valkey and give its address. On one machine you need no queue: lqa encode DIR --out-dir DIR resumes.",
    });
  return await openQueue(address, {
    name: textOption(args, "queue-name"),
    patienceSeconds: numberOption(args, "patience"),
  });
}

/** The roots that jobs may name, from the options or the environment. */
export function allowedOf(args: Arguments): WorkerOptions["allow"] {
  const roots = (what: "source" | "target"): string[] => {
    const text =
      textOption(args, `allow-${what}`) ?? process.env[`LQA_FLEET_ALLOW_${what.toUpperCase()}`] ?? "";
    // A prefix may contain commas.
    return text === "" ? [] : text.split(/,(?=s3:\/\/)/);
  };
  return { sources: roots("source"), targets: roots("target") };
}

/** The connection to object storage, from the options. */
export function storeOptions(args: Arguments): StoreOptions {
  // The SDK's warnings about versions of Node are for developers, not for users of a command.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
  return { s3: { endpoint: textOption(args, "endpoint") } };
}

/** The stores that the options name. */
export function storesOf(args: Arguments): Stores {
  return createStores(storeOptions(args));
}
