/**
 * `lqa fleet retry`: put failed jobs back into the queue.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type Arguments, textOption } from "../command.ts";
import { queueOf } from "../fleet-options.ts";
import { counted, jsonText } from "../format.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const code = textOption(args, "code");
  const all = args.values.has("all");
  if ((code === undefined) === !all)
    fail(KIND.USAGE, {
      where: "lqa fleet retry",
      expected: "--code or --all",
      actual: all ? "both" : "neither",
    });
  const queue = await queueOf(args);
  try {
    const retried = await queue.retry(code === undefined ? undefined : new Set(code.split(",")));
    if (args.values.has("json")) terminal.out(jsonText({ queue: queue.location, retried }));
    else terminal.out(`${counted(retried, "job")} put back\n`);
    return 0;
  } finally {
    await queue.close();
  }
}
