/**
 * Runs the program once: takes the arguments and returns the exit code. It chooses between help, version and a command, and
 * is the only place that formats errors.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type Arguments, type CommandSpec, STANDARD_STREAM } from "./command.ts";
import { commandHelp, globalHelp } from "./help.ts";
import { parseCommandLine } from "./parse.ts";
import { reportError } from "./report-error.ts";
import { TABLE } from "./table.ts";
import { processTerminal, silent, type Terminal } from "./terminal.ts";

/** Runs the program. Never rejects. */
export async function run(words: readonly string[]): Promise<number> {
  const end = words.indexOf("--");
  const before = words.slice(0, end < 0 ? words.length : end);
  const terminal = processTerminal({ verbose: before.includes("--verbose") || before.includes("-v") });
  // If the user asked for JSON, even an error in parsing the command line is printed as JSON.
  const json = before.includes("--json");
  try {
    if (words.length === 0) {
      terminal.err(globalHelp(terminal));
      return 2;
    }
    const request = parseCommandLine(words);
    switch (request.kind) {
      case "help":
        terminal.out(
          request.command === undefined ? globalHelp(terminal) : commandHelp(request.command, terminal),
        );
        return 0;
      case "version":
        terminal.out(`lqa ${packageVersion()}\n`);
        return 0;
      case "run":
        return await runCommand(request.command, request.args, terminal);
    }
  } catch (error) {
    return reportError(error, json, terminal);
  }
}

/** Runs a command in the way its global options and its output require. */
async function runCommand(command: CommandSpec, args: Arguments, terminal: Terminal): Promise<number> {
  const { run: start } = await command.load();
  const begin = (given: Arguments, to: Terminal): Promise<number> => start(given, to, TABLE);
  const document = args.values.has("json") || args.values.has("sarif");
  const quiet = args.values.has("quiet") && !document;
  // Innermost, so that --quiet also hides the report that goes to stderr because the output is on stdout.
  const told: typeof begin = (given, to) => begin(given, quiet ? silent(to) : to);
  const streams = [...args.positionals, ...args.values.values()].includes(STANDARD_STREAM);
  if (!streams) return await told(args, terminal);
  refuseNameless(command, args);
  const { throughStreams } = await import("./standard-streams.ts");
  return await throughStreams(command, args, terminal, told);
}

/** Requires --output with standard input, because the output's name derives from the input's name. @throws LqaError USAGE */
function refuseNameless({ name, options }: CommandSpec, { positionals, values }: Arguments): void {
  const output = options.find((option) => option.name === "output");
  const named = output?.defaultText === undefined || values.has("output") || values.has("out-dir");
  if (named || !positionals.includes(STANDARD_STREAM)) return;
  fail(KIND.USAGE, {
    where: `lqa ${name}`,
    expected: "--output as well",
    actual: "standard input without --output",
    advice: `See lqa ${name} --help.`,
  });
}

/** The version in package.json, which has the same relative path from `src/cli` and from `dist/cli`. */
function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
