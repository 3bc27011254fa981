/**
 * `lqa convert`: convert an adapter from one dialect to another.
 *
 * @module
 */

import type { DialectName } from "../../adapters/index.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { convertFile, readBaseDescription } from "../../node/convert-file.ts";
import { baseCheck } from "../base-model.ts";
import { type Arguments, textOption } from "../command.ts";
import { counted, duration, jsonText, printable } from "../format.ts";
import { facts, note, title } from "../layout.ts";
import { remoteOptions } from "../open-input.ts";
import { factorType } from "../shared-options.ts";
import { sourceSettings } from "../source-options.ts";
import type { Terminal } from "../terminal.ts";
import { errorFact, fileFacts, riskWarnings, roundingWarning } from "../written-facts.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [input, output] = twoPaths(args);
  const base = textOption(args, "base");
  const remote = remoteOptions(args);
  const result = await convertFile(input, output, {
    ...sourceSettings(args),
    to: textOption(args, "to") as DialectName | undefined,
    dtype: factorType(args),
    base: base === undefined ? undefined : await readBaseDescription(base, { remote }),
    checkBase: await baseCheck(base, { remote }),
    portable: args.values.has("portable") ? true : undefined,
    keepConfig: args.values.has("keep-config"),
    force: args.values.has("force"),
    remote,
  });
  const { from, to, modules, tensors, written, notes, configRisks, rounding, inputBytes, seconds } = result;
  if (args.values.has("json")) {
    const files = [...written].map(([name, bytes]) => ({ name, bytes }));
    const document = {
      from,
      to,
      modules,
      tensors,
      files,
      notes,
      configRisks,
      rounding: rounding ?? null,
      inputBytes,
      seconds: Number(seconds.toFixed(3)),
    };
    terminal.out(jsonText(document));
    return 0;
  }
  const lines = [
    ...title(printable(output), `written from ${printable(input)}`, terminal),
    ...facts(
      [
        ["dialects", `${from} to ${to}`],
        ["content", `${counted(modules, "module")}, ${counted(tensors, "plain tensor")}`],
        ...fileFacts(written),
        errorFact(undefined, rounding),
        ["time", duration(seconds)],
      ],
      terminal,
    ),
    ...notes.flatMap((text) => note("note", printable(text), terminal)),
    ...riskWarnings(configRisks, args.values.has("keep-config"), terminal),
    ...roundingWarning(rounding, terminal),
  ];
  terminal.out(`${lines.join("\n")}\n`);
  return 0;
}

function twoPaths({ positionals }: Arguments): readonly [string, string] {
  const [input, output] = positionals as readonly [string, string?];
  if (output !== undefined && positionals.length === 2) return [input, output];
  return fail(KIND.USAGE, {
    where: "lqa convert",
    expected: "two paths: the adapter to read, and where to write",
    actual: positionals.length === 1 ? "only one path is given" : `${positionals.length} paths are given`,
    advice: "See lqa convert --help.",
  });
}
