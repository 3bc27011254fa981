/**
 * Help texts, derived from the command table.
 *
 * @module
 */
import { type CommandSpec, described, type OptionSpec, spelled } from "./command.ts";
import { COMMANDS, EXIT_CODES, GLOBAL_OPTIONS } from "./table.ts";
import { columns, type Terminal, wrap } from "./terminal.ts";

/** Columns a help text may use. */
const WIDTH = 88;

/** `lqa --help`, and `lqa <group> --help`: that of the commands that begin with a word. */
export function globalHelp({ colors }: Terminal, group?: string): string {
  const program = group === undefined ? "lqa" : `lqa ${group}`;
  const commands = COMMANDS.filter(({ name }) => group === undefined || name.startsWith(`${group} `));
  const blocks = [
    ...(group === undefined
      ? [`${colors.bold("lqa")} stores LoRA adapters in a few bits per parameter, and gives them back.`]
      : []),
    heading(colors, "Usage", [`${program} <command> [options]`]),
    heading(colors, "Commands", columns(commands.map(({ name, summary }) => [name, summary]))),
    heading(colors, "Options", optionLines(GLOBAL_OPTIONS)),
    heading(colors, "Examples", [...commands.map(({ examples }) => `lqa ${examples[0]}`)]),
    heading(colors, "Exit codes", columns(EXIT_CODES.map(([code, meaning]) => [String(code), meaning]))),
    `\`${program} <command> --help\` explains a command.`,
  ];
  return `${blocks.join("\n\n")}\n`;
}

/** `lqa <command> --help`. */
export function commandHelp(command: CommandSpec, { colors }: Terminal): string {
  const { positional, options } = command;
  const required = options.filter((option) => option.required).map(shortest);
  const words = positional === undefined ? [] : [positional.placeholder];
  const usage = ["lqa", command.name, ...words, ...required, "[options]"].join(" ");
  const blocks = [
    [command.summary, ...wrap(command.details, WIDTH)].join("\n"),
    heading(colors, "Usage", [usage]),
    ...(positional === undefined
      ? []
      : [heading(colors, "Arguments", entry(positional.placeholder, positional.help))]),
    heading(
      colors,
      "Options",
      optionLines([...options, ...GLOBAL_OPTIONS.filter(({ name }) => name !== "version")]),
    ),
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

function optionLines(options: readonly OptionSpec[]): string[] {
  const names = options.map((option) =>
    option.short === undefined ? `    ${spelled(option)}` : spelled(option),
  );
  const width = Math.max(...names.map((name) => name.length));
  return options.flatMap((option, i) => entry(names[i]!.padEnd(width), described(option)));
}

/** A name and, beside it, what it stands for. */
function entry(name: string, text: string): string[] {
  const width = name.length + 2;
  return wrap(text, WIDTH - width - 2).map((line, i) => (i === 0 ? name : "").padEnd(width) + line);
}
