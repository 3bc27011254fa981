/**
 * `lqa fleet verify`: validate every file of a target.
 *
 * @module
 */

import type { ValidationLevel } from "../../core/validate/validation.ts";
import { type Verification, verifyFleet } from "../../fleet/verify.ts";
import { type Arguments, numberOption, textOption } from "../command.ts";
import { endSignal } from "../end-signal.ts";
import { storesOf } from "../fleet-options.ts";
import { count, counted, jsonText, printable, size } from "../format.ts";
import { facts, hanging, more, title } from "../layout.ts";
import { worstExitCode } from "../report-error.ts";
import type { Terminal } from "../terminal.ts";

/** Maximum number of findings in the report; `--json` has all of them. */
const SHOWN = 20;

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [location] = args.positionals;
  const stores = storesOf(args);
  const { signal, end } = endSignal(() => {});
  try {
    const result = await verifyFleet(await stores.open(location), {
      // The command table has checked the word.
      level: textOption(args, "level") as ValidationLevel | undefined,
      concurrency: numberOption(args, "concurrency"),
      signal,
      onProgress: (done, key) => terminal.progress(done, undefined, key),
    });
    terminal.endProgress();
    if (args.values.has("json")) terminal.out(jsonText({ location, ...result }));
    else print(location, result, terminal);
    return worstExitCode(result.findings.map(({ exitCode }) => (exitCode === 2 ? 1 : exitCode)));
  } finally {
    end();
    await stores.close();
  }
}

function print(location: string, result: Verification, terminal: Terminal): void {
  const { files, bytes, valid, unrecorded, missing, findings, omitted } = result;
  const notes = [
    ...(missing > 0 ? [`${count(missing)} missing`] : []),
    ...(unrecorded > 0 ? [`${count(unrecorded)} without a record`] : []),
  ];
  const counts = [`${counted(files, "file")}, ${size(bytes)}`, `${count(valid)} valid`, ...notes].join(", ");
  terminal.out(`${title(`${printable(location)}:`, counts, terminal).join("\n")}\n`);
  for (const { key, failure } of findings.slice(0, SHOWN)) {
    const lines = [
      ...hanging("lqa: ", `${printable(key)}: ${printable(failure.message)}`, terminal.errors.room),
      ...facts([["what to do", printable(failure.advice)]], terminal.errors),
    ];
    terminal.err(`${lines.join("\n")}\n`);
  }
  const hidden = findings.length - Math.min(SHOWN, findings.length) + omitted;
  if (hidden > 0) terminal.err(`${more(hidden, "--json").join("\n")}\n`);
}
