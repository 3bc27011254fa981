/**
 * One run of the program: words in, exit code out. It decides between help, version and a command, and it is the only
 * place where an error becomes text.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { commandHelp, globalHelp } from "./help.ts";
import { parseCommandLine } from "./parse.ts";
import { reportError } from "./report-error.ts";
import { processTerminal } from "./terminal.ts";

/** Runs the program. Never rejects. */
export async function run(words: readonly string[]): Promise<number> {
  const terminal = processTerminal();
  const end = words.indexOf("--");
  // Even a command line that cannot be parsed gets its error as JSON if that was asked for.
  const json = words.slice(0, end < 0 ? words.length : end).includes("--json");
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
        return await (await request.command.load()).run(request.args, terminal);
    }
  } catch (error) {
    return reportError(error, json, terminal);
  }
}

/** The version in package.json, which lies at the same distance from `src/cli` and from `dist/cli`. */
function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
