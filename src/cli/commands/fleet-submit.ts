/**
 * `lqa fleet submit`: queue the adapters of a location as jobs.
 *
 * @module
 */
import { isLqaError } from "../../errors.ts";
import { type Submission, submitFleet } from "../../fleet/submit.ts";
import { parseLocation } from "../../node/objects/location.ts";
import { type Arguments, numberOption, textOption } from "../command.ts";
import { encodeSettings } from "../encode-options.ts";
import { endSignal } from "../end-signal.ts";
import { queueOf, storesOf } from "../fleet-options.ts";
import { count, counted, jsonText, printable } from "../format.ts";
import { facts, note, title } from "../layout.ts";
import { sourceSettings } from "../source-options.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const target = textOption(args, "to")!;
  const [source] = args.positionals;
  const force = args.values.has("force") ? true : undefined;
  parseLocation(source, { where: "source" });
  parseLocation(target, { where: "target" });
  const stores = storesOf(args);
  const queue = await queueOf(args);
  const { signal, end } = endSignal(() => terminal.err("lqa: stopping; rerun to resume\n"));
  try {
    const result = await submitFleet(queue, stores, {
      source,
      target,
      settings: { ...sourceSettings(args), ...encodeSettings(args), force },
      maxWaiting: numberOption(args, "max-waiting"),
      restart: args.values.has("restart"),
      signal,
      onProgress: ({ found }) => terminal.progress(found, undefined, source),
      onFull: (waiting) =>
        terminal.err(
          `lqa: ${counted(waiting, "job")} queued; more are added as workers finish jobs (lqa fleet work)\n`,
        ),
    });
    terminal.endProgress();
    if (args.values.has("json")) terminal.out(jsonText({ source, target, queue: queue.location, ...result }));
    else terminal.out(`${lines(source, result, terminal).join("\n")}\n`);
    return result.refused > 0 ? 1 : 0;
  } catch (error) {
    // The user who stopped it needs no explanation.
    if (isLqaError(error, "ABORTED") && signal.aborted) return 2;
    throw error;
  } finally {
    end();
    await queue.close();
    await stores.close();
  }
}

function lines(
  source: string,
  { found, queued, kept, refused, refusedNames, resumedAfter }: Submission,
  terminal: Terminal,
): string[] {
  return [
    ...title(
      `${printable(source)}:`,
      `${counted(found, "adapter")}, ${count(queued)} queued, ${count(kept)} already done${refused > 0 ? `, ${count(refused)} refused` : ""}`,
      terminal,
    ),
    ...facts([["resumed after", resumedAfter && printable(resumedAfter)]], terminal),
    ...refusedNames.flatMap((name) =>
      note(
        "warning",
        `refused ${printable(name)}: cannot queue this adapter: a part of its path is too long or is not a plain name`,
        terminal,
      ),
    ),
  ];
}
