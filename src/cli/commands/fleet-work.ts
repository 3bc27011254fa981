/**
 * `lqa fleet work`: run a worker.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { serveWorkerMetrics, type WorkerMetrics } from "../../fleet/metrics.ts";
import type { WorkQueue } from "../../fleet/queue.ts";
import { workFleet } from "../../fleet/work.ts";
import { type Arguments, numberOption, textOption } from "../command.ts";
import { endSignal } from "../end-signal.ts";
import { attemptLine, workText } from "../fleet-lines.ts";
import { allowedOf, queueOf, storesOf } from "../fleet-options.ts";
import { jsonText, printable } from "../format.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const stores = storesOf(args);
  const queue = await queueOf(args);
  const line = attemptLine(args);
  const metrics = await metricsOf(args, queue);
  if (metrics !== undefined) terminal.err(`lqa: metrics at ${metrics.address}/metrics\n`);
  const { signal, end } = endSignal(() => terminal.err("lqa: finishing the jobs in progress\n"));
  try {
    const result = await workFleet(queue, stores, {
      allow: allowedOf(args),
      concurrency: numberOption(args, "concurrency"),
      untilEmpty: args.values.has("until-empty"),
      leaseSeconds: numberOption(args, "lease"),
      scratch: textOption(args, "scratch"),
      signal,
      onNotice: (text) => terminal.err(`lqa: ${printable(text)}\n`),
      maxSeconds: numberOption(args, "max-seconds"),
      maxBytes: numberOption(args, "max-bytes"),
      onAttempt(attempt) {
        metrics?.onAttempt(attempt);
        terminal.err(`${line(attempt)}\n`);
      },
    });
    const { failed, limit } = result;
    if (limit !== undefined)
      terminal.err(`lqa: ended by --${limit === "maxBytes" ? "max-bytes" : "max-seconds"}\n`);
    if (args.values.has("json")) terminal.out(jsonText({ queue: queue.location, ...result }));
    else terminal.out(workText(result));
    return failed > 0 ? 1 : 0;
  } finally {
    end();
    await metrics?.close();
    await queue.close();
    await stores.close();
  }
}

/** Serves metrics where --metrics says. @throws LqaError USAGE, MISSING_PACKAGE, IO */
async function metricsOf(args: Arguments, queue: WorkQueue): Promise<WorkerMetrics | undefined> {
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(textOption(args, "metrics") ?? "") ?? [];
  if (host === undefined) return undefined;
  if (Number(port) > 65_535)
    fail(KIND.USAGE, { where: "--metrics", expected: "a port from 0 to 65535", actual: port });
  return await serveWorkerMetrics(queue, { host, port: Number(port) });
}
