/**
 * Generates the manual page from the command table, in man(7) macros.
 *
 * @module
 */
import { VERSION } from "../version.ts";
import {
  type CommandSpec,
  described,
  type OptionSpec,
  type ProgramTable,
  sections,
  spelled,
} from "./command.ts";

/** The page as a roff document. */
export function manualPage({ commands, globalOptions, exitCodes }: ProgramTable): string {
  const lines = [
    `.TH LQA 1 "" "lqa ${VERSION}" "User Commands"`,
    ".SH NAME",
    text("lqa - store LoRA adapters in a few bits per parameter and restore them"),
    ".SH SYNOPSIS",
    text("lqa <command> [options]"),
    ".SH DESCRIPTION",
    text(
      "An .lqa file holds a LoRA adapter in one to three bits per weight. The commands encode adapters, inspect, check and repair files, and decode them to adapters for other programs.",
    ),
    ".SH OPTIONS",
    text("These options work with every command."),
    ...globalOptions.flatMap(option),
    ".SH COMMANDS",
    ...commands.flatMap(command),
    ".SH EXIT STATUS",
    ...exitCodes.flatMap(([code, meaning]) => [".TP", bold(String(code)), text(meaning)]),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.flatMap(([name, meaning]) => [".TP", bold(name), text(meaning)]),
    ".SH FILES",
    text("The package has the specification of the format and the catalogue of errors in spec/."),
  ];
  return `${lines.join("\n")}\n`;
}

const ENVIRONMENT = [
  ["NO_COLOR", "If not empty: no colours."],
  ["FORCE_COLOR", "If neither empty nor 0: colours, also in pipes and files."],
  ["LQA_DEBUG", "If 1: print stack traces of errors, as with --verbose."],
] as const;

function command({ name, summary, details, positional, options, examples }: CommandSpec): string[] {
  const usage = ["lqa", name, ...(positional === undefined ? [] : [positional.placeholder]), "[options]"];
  return [
    `.SS ${text(usage.join(" "))}`,
    text(`${summary} ${details}`),
    ...(positional === undefined ? [] : [".TP", bold(positional.placeholder), text(positional.help)]),
    ...sections(options).flatMap(([title, list]) => [".PP", `${text(title)}:`, ...list.flatMap(option)]),
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

/** Escapes a text for roff: no escapes, no requests, dashes that can be copied, ASCII only. */
function text(words: string): string {
  return words
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^[.']/, "\\&$&")
    .replace(/[^ -~]/gu, (one) => `\\[u${one.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`);
}
