/**
 * The manual page, written from the command table, in the macros of man(7).
 *
 * @module
 */
import { VERSION } from "../version.ts";
import { type CommandSpec, described, type OptionSpec, type ProgramTable, spelled } from "./command.ts";

/** The page as a roff document. */
export function manualPage({ commands, globalOptions, exitCodes }: ProgramTable): string {
  const lines = [
    `.TH LQA 1 "" "lqa ${VERSION}" "User Commands"`,
    ".SH NAME",
    text("lqa - store LoRA adapters in a few bits per parameter, and get them back"),
    ".SH SYNOPSIS",
    text("lqa <command> [options]"),
    ".SH DESCRIPTION",
    text(
      "An .lqa file holds a LoRA adapter in one to three bits a weight. The commands encode adapters, look into files, check and repair them, and decode them into adapters of other programs.",
    ),
    ".SH OPTIONS",
    text("They work with every command."),
    ...globalOptions.flatMap(option),
    ".SH COMMANDS",
    ...commands.flatMap(command),
    ".SH EXIT STATUS",
    ...exitCodes.flatMap(([code, meaning]) => [".TP", bold(String(code)), text(meaning)]),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.flatMap(([name, meaning]) => [".TP", bold(name), text(meaning)]),
    ".SH FILES",
    text("The specification of the format, and the catalogue of errors, are in the package, in spec/."),
  ];
  return `${lines.join("\n")}\n`;
}

const ENVIRONMENT = [
  ["NO_COLOR", "Not empty: no colours."],
  ["FORCE_COLOR", "Not empty and not 0: colours, also into pipes and files."],
  ["LQA_DEBUG", "1: where an error came from, as with --verbose."],
] as const;

function command({ name, summary, details, positional, options, examples }: CommandSpec): string[] {
  const usage = ["lqa", name, ...(positional === undefined ? [] : [positional.placeholder]), "[options]"];
  return [
    `.SS ${text(usage.join(" "))}`,
    text(`${summary} ${details}`),
    ...(positional === undefined ? [] : [".TP", bold(positional.placeholder), text(positional.help)]),
    ...options.flatMap(option),
    ".PP",
    "Examples:",
    ".RS 4",
    ".nf",
    ...examples.map((example) => text(`lqa ${example}`)),
    ".fi",
    ".RE",
  ];
}

function option(spec: OptionSpec): string[] {
  return [".TP", bold(spelled(spec)), text(described(spec))];
}

function bold(words: string): string {
  return `\\fB${text(words)}\\fR`;
}

/** Words as roff takes them: no escapes, no requests, dashes that can be copied, ASCII. */
function text(words: string): string {
  return words
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^[.']/, "\\&$&")
    .replace(/[^ -~]/gu, (one) => `\\[u${one.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`);
}
