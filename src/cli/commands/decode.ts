/**
 * `lqa decode`: convert an `.lqa` file back to an adapter directory.
 *
 * @module
 */
import { basename } from "node:path";
import * as KIND from "../../error-catalogue.ts";
import { LqaError } from "../../errors.ts";
import { readBaseDescription } from "../../node/convert-file.ts";
import { type DecodedFile, type DecodeFileOptions, decodeFile } from "../../node/decode-file.ts";
import { openParents } from "../../node/open-parents.ts";
import { isRemote, isWhole, nameOfLocation } from "../../node/remote/location.ts";
import { baseCheck } from "../base-model.ts";
import { type Arguments, listOption, numberOption, textOption } from "../command.ts";
import { counted, duration, jsonText, percent, printable } from "../format.ts";
import { facts, note, title } from "../layout.ts";
import { readInput, remoteOptions, STANDARD_INPUT } from "../open-input.ts";
import { factorType } from "../shared-options.ts";
import type { Terminal } from "../terminal.ts";
import { errorFact, fileFacts, riskWarnings, roundingWarning } from "../written-facts.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [input] = args.positionals;
  const remote = remoteOptions(args);
  const output = textOption(args, "output") ?? defaultOutput(input);
  const source = input === STANDARD_INPUT ? await readInput(input, remote) : input;
  const base = textOption(args, "base");
  const result = await decodeFile(source, output, {
    dtype: factorType(args),
    to: textOption(args, "to") as DecodeFileOptions["to"],
    base: base === undefined ? undefined : await readBaseDescription(base, { remote }),
    checkBase: await baseCheck(base, { remote }),
    portable: args.values.has("portable") ? true : undefined,
    rank: numberOption(args, "rank"),
    keepConfig: args.values.has("keep-config"),
    force: args.values.has("force"),
    parents: await openParents(listOption(args, "parent"), { remote }),
    remote,
  });
  if (args.values.has("json")) {
    terminal.out(jsonText(await documentOf(result, args)));
    return 0;
  }
  const { file, written, seconds } = result;
  const from = input === STANDARD_INPUT ? "standard input" : printable(input);
  const lines = [
    ...title(printable(output), `written from ${from}`, terminal),
    ...facts(
      [
        [
          "content",
          `${counted(file.modules.length, "module")}, ${counted(file.tensors.length, "plain tensor")}`,
        ],
        ...fileFacts(written),
        errorFact(result.relativeError, result.rounding),
        [
          "rank",
          result.rankError === undefined
            ? undefined
            : `at most ${args.values.get("rank")}: ${percent(result.rankError)} of the energy of ΔW left out`,
        ],
        ["time", duration(seconds)],
      ],
      terminal,
    ),
    ...result.notes.flatMap((text) => note("note", printable(text), terminal)),
    ...riskWarnings(result.configRisks, args.values.has("keep-config"), terminal),
    ...roundingWarning(result.rounding, terminal),
  ];
  terminal.out(`${lines.join("\n")}\n`);
  return 0;
}

/** The result as `--json` prints it. */
async function documentOf(result: DecodedFile, args: Arguments): Promise<object> {
  const { file, written } = result;
  return {
    inputBytes: result.inputBytes,
    outputBytes: [...written.values()].reduce((sum, bytes) => sum + bytes, 0),
    dtype: textOption(args, "dtype") ?? "source",
    dialect: (await file.origin())?.dialect ?? null,
    to: textOption(args, "to") ?? null,
    notes: result.notes,
    configRisks: result.configRisks,
    relativeError: result.relativeError ?? null,
    rankError: result.rankError ?? null,
    rounding: result.rounding ?? null,
    modules: file.modules.length,
    tensors: file.tensors.length,
    files: [...written].map(([name, bytes]) => ({ name, bytes })),
    seconds: Number(result.seconds.toFixed(3)),
    fileId: result.fileId,
    contentId: result.contentId,
  };
}

/** Derives a directory name from the file's name. @throws LqaError USAGE if the name has no extension to remove */
function defaultOutput(input: string): string {
  const name = isRemote(input) ? nameOfLocation(input) : basename(input);
  if (isWhole(input)) return name;
  if (/^.+\.lqa$/i.test(name)) return name.slice(0, -4);
  throw new LqaError(KIND.USAGE, {
    where: "lqa decode",
    expected: "an .lqa file, or --output",
    actual: `${printable(input)} does not end in .lqa, and --output is missing`,
  });
}
