/**
 * Generates the help texts from the command table.
 *
 * @module
 */
import { type CommandSpec, described, type OptionSpec, sections, spelled } from "./command.ts";
import { table, wrap } from "./layout.ts";
import { COMMANDS, EXIT_CODES, GLOBAL_OPTIONS, PYTHON_COMMANDS } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** `lqa --help`. */
export function globalHelp(terminal: Terminal): string {
  const { bold } = terminal.colors;
  const list = (title: string, rows: Rows): string => block(terminal, title, listed(rows, terminal));
  const blocks = [
    `${bold("lqa")} stores LoRA adapters in a few bits per parameter and restores them.`,
    block(terminal, "Usage", ["  lqa <command> [options]"]),
    list(
      "Commands",
      COMMANDS.map(({ name, summary }) => [name, summary]),
    ),
    list("Commands of the Python package", PYTHON_COMMANDS),
    list("Options", optionRows(GLOBAL_OPTIONS)),
    block(
      terminal,
      "Examples",
      COMMANDS.slice(0, 6).map(({ examples }) => `  lqa ${examples[0]}`),
    ),
    list(
      "Exit codes",
      EXIT_CODES.map(([code, meaning]) => [String(code), meaning]),
    ),
    "`lqa <command> --help` shows the options of a command.",
  ];
  return `${blocks.join("\n\n")}\n`;
}

/** `lqa <command> --help`. */
export function commandHelp(command: CommandSpec, terminal: Terminal): string {
  const { positional, options } = command;
  const required = options.filter((option) => option.required).map(shortest);
  const words = positional === undefined ? [] : [positional.placeholder];
  const usage = ["lqa", command.name, ...words, ...required, "[options]"].join(" ");
  const all = [...options, ...GLOBAL_OPTIONS.filter(({ name }) => name !== "version")];
  const list = (title: string, rows: Rows): string => block(terminal, title, listed(rows, terminal));
  const blocks = [
    [command.summary, ...wrap(command.details, terminal.width)].join("\n"),
    block(terminal, "Usage", [`  ${usage}`]),
    ...(positional === undefined ? [] : [list("Arguments", [[positional.placeholder, positional.help]])]),
    ...sections(all).map(([title, options]) => list(title, optionRows(options, all))),
    block(
      terminal,
      "Examples",
      command.examples.map((example) => `  lqa ${example}`),
    ),
  ];
  return `${blocks.join("\n\n")}\n`;
}

/** Names and their explanations. */
type Rows = readonly (readonly [name: string, text: string])[];

function block({ colors }: Terminal, title: string, lines: readonly string[]): string {
  return [colors.bold(title), ...lines].join("\n");
}

function listed(rows: Rows, { colors, width }: Terminal): string[] {
  return table([{}, { narrow: "wrap" }], rows, { colors, room: width });
}

function shortest(option: OptionSpec): string {
  const name = option.short === undefined ? `--${option.name}` : `-${option.short}`;
  return option.placeholder === undefined ? name : `${name} ${option.placeholder}`;
}

/** @param all options of the command, so that the columns of all sections align */
function optionRows(options: readonly OptionSpec[], all = options): Rows {
  const name = (option: OptionSpec): string =>
    option.short === undefined ? `    ${spelled(option)}` : spelled(option);
  const longest = Math.max(...all.map((option) => name(option).length));
  return options.map((option) => [name(option).padEnd(longest), described(option)]);
}
