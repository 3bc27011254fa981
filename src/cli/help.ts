/**
 * Generates the help texts from the command table.
 *
 * @module
 */
import { type CommandSpec, described, type OptionSpec, sections, spelled } from "./command.ts";
import { COMMANDS, EXIT_CODES, GLOBAL_OPTIONS, PYTHON_COMMANDS } from "./table.ts";
import { columns, type Terminal, wrap } from "./terminal.ts";

/** `lqa --help`, and `lqa <group> --help`: that of the commands that begin with a word. */
export function globalHelp({ colors, width }: Terminal, group?: string): string {
  const program = group === undefined ? "lqa" : `lqa ${group}`;
  const commands = COMMANDS.filter(({ name }) => group === undefined || name.startsWith(`${group} `));
  const blocks = [
    ...(group === undefined
      ? [`${colors.bold("lqa")} stores LoRA adapters in a few bits per parameter and restores them.`]
      : []),
    heading(colors, "Usage", [`${program} <command> [options]`]),
    heading(colors, "Commands", columns(commands.map(({ name, summary }) => [name, summary]))),
    ...(group === undefined
      ? [heading(colors, "Commands of the Python package", columns(PYTHON_COMMANDS.map((row) => [...row])))]
      : []),
    heading(colors, "Options", optionLines(GLOBAL_OPTIONS, width)),
    heading(
      colors,
      "Examples",
      commands.slice(0, 6).map(({ examples }) => `lqa ${examples[0]}`),
    ),
    heading(colors, "Exit codes", columns(EXIT_CODES.map(([code, meaning]) => [String(code), meaning]))),
    `\`${program} <command> --help\` shows the options of a command.`,
  ];
  return `${blocks.join("\n\n")}\n`;
}

/** `lqa <command> --help`. */
export function commandHelp(command: CommandSpec, { colors, width }: Terminal): string {
  const { positional, options } = command;
  const required = options.filter((option) => option.required).map(shortest);
  const words = positional === undefined ? [] : [positional.placeholder];
  const usage = ["lqa", command.name, ...words, ...required, "[options]"].join(" ");
  const all = [...options, ...GLOBAL_OPTIONS.filter(({ name }) => name !== "version")];
  const blocks = [
    [command.summary, ...wrap(command.details, width)].join("\n"),
    heading(colors, "Usage", [usage]),
    ...(positional === undefined
      ? []
      : [heading(colors, "Arguments", entry(positional.placeholder, positional.help, width))]),
    ...sections(all).map(([title, list]) => heading(colors, title, optionLines(list, width, all))),
    heading(
      colors,
      "Examples",
      command.examples.map((example) => `lqa ${example}`),
    ),
  ];
  return `${blocks.join("\n\n")}\n`;
}

function heading(colors: Terminal["colors"], title: string, lines: readonly string[]): string {
  return [colors.bold(title), ...lines.map((line) => `  ${line}`)].join("\n");
}

function shortest(option: OptionSpec): string {
  const name = option.short === undefined ? `--${option.name}` : `-${option.short}`;
  return option.placeholder === undefined ? name : `${name} ${option.placeholder}`;
}

/** @param all options of the command, so that the columns of all sections align */
function optionLines(options: readonly OptionSpec[], width: number, all = options): string[] {
  const name = (option: OptionSpec): string =>
    option.short === undefined ? `    ${spelled(option)}` : spelled(option);
  const longest = Math.max(...all.map((option) => name(option).length));
  return options.flatMap((option) => entry(name(option).padEnd(longest), described(option), width));
}

/** A name and its explanation in the next column. */
function entry(name: string, text: string, width: number): string[] {
  const indent = name.length + 2;
  return wrap(text, width - indent - 2).map((line, i) => (i === 0 ? name : "").padEnd(indent) + line);
}
