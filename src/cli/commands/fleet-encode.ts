/**
 * `lqa fleet encode`: encode the adapters of a location, or a share of them, without a queue.
 *
 * @module
 */
import { isLqaError } from "../../errors.ts";
import { encodeFleet } from "../../fleet/encode.ts";
import { type Arguments, numberOption, textOption } from "../command.ts";
import { encodeSettings } from "../encode-options.ts";
import { endSignal } from "../end-signal.ts";
import { attemptLine, workText } from "../fleet-lines.ts";
import { storesOf } from "../fleet-options.ts";
import { jsonText } from "../format.ts";
import { shardOf } from "../shared-options.ts";
import { sourceSettings } from "../source-options.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [source] = args.positionals;
  const target = textOption(args, "to")!;
  const force = args.values.has("force") ? true : undefined;
  const stores = storesOf(args);
  const line = attemptLine(args);
  const { signal, end } = endSignal(() => terminal.err("lqa: finishing the adapters in progress\n"));
  try {
    const result = await encodeFleet(stores, {
      source,
      target,
      settings: { ...sourceSettings(args), ...encodeSettings(args), force },
      shard: shardOf(args),
      concurrency: numberOption(args, "concurrency"),
      scratch: textOption(args, "scratch"),
      signal,
      onAttempt: (attempt) => terminal.err(`${line(attempt)}\n`),
    });
    if (args.values.has("json")) terminal.out(jsonText({ source, target, ...result }));
    else terminal.out(workText(result));
    return result.failed > 0 ? 1 : 0;
  } catch (error) {
    // Not 0: a batch engine must not count the share as done. The user who stopped it needs no explanation.
    if (isLqaError(error, "ABORTED") && signal.aborted) {
      terminal.err("lqa: stopped; rerun to resume\n");
      return 2;
    }
    throw error;
  } finally {
    end();
    await stores.close();
  }
}
