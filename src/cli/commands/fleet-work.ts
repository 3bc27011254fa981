/**
 * `lqa fleet work`: a worker.
 *
 * @module
 */
import { workFleet } from "../../fleet/work.ts";
import { type Arguments, numberOption, textOption } from "../command.ts";
import { allowedOf, endSignal, queueOf, storesOf } from "../fleet-options.ts";
import { count, counted, duration, jsonText, printable } from "../format.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const stores = storesOf(args);
  const queue = await queueOf(args);
  const { signal, end } = endSignal(() => terminal.err("lqa: finishing what is begun\n"));
  try {
    const result = await workFleet(queue, stores, {
      allow: allowedOf(args),
      concurrency: numberOption(args, "concurrency"),
      untilEmpty: args.values.has("until-empty"),
      leaseSeconds: numberOption(args, "lease"),
      scratch: textOption(args, "scratch"),
      signal,
      onNotice: (text) => terminal.err(`lqa: ${printable(text)}\n`),
      onDone: ({ name }, kept) => {
        if (terminal.verbose) terminal.err(`${kept ? "kept" : "encoded"}  ${printable(name)}\n`);
      },
      onFailed: ({ name }, { message }, last) =>
        terminal.err(`lqa: ${printable(name)}: ${printable(message)}${last ? "" : "; to be tried again"}\n`),
    });
    const { encoded, kept, failed, seconds } = result;
    if (args.values.has("json")) terminal.out(jsonText({ queue: queue.location, ...result }));
    else
      terminal.out(
        `${counted(encoded, "adapter")} encoded, ${count(kept)} done already, ${count(failed)} failed, in ${duration(seconds)}\n`,
      );
    return failed > 0 ? 1 : 0;
  } finally {
    end();
    await queue.close();
    await stores.close();
  }
}
