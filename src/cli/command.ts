/**
 * Types of the command table (`table.ts`): the description of a command, and the arguments with which it runs.
 *
 * @module
 */
import type { Terminal } from "./terminal.ts";

/** One option of a command. */
export interface OptionSpec {
  /** Long name without dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** `bytes` takes units (10KB, 1.5MiB), `share` a percent sign (1%); both come to the command as plain numbers. */
  readonly type: "flag" | "text" | "integer" | "number" | "bytes" | "share";
  /** Placeholder for the value in the help, e.g. `<file>`. Not for flags. */
  readonly placeholder?: string;
  /** The only values allowed, exactly as the user types them. */
  readonly values?: readonly string[];
  /** A text value must match this pattern; the error message describes it as `expects`. */
  readonly pattern?: RegExp;
  readonly expects?: string;
  /** Value if the option is absent; shown in the help and given to the command. */
  readonly default?: string | number;
  /** Shown instead of `default` if the default is not a plain value. */
  readonly defaultText?: string;
  readonly required?: boolean;
  /** The user may repeat the option: see {@link listOption}. Only for text. */
  readonly repeated?: boolean;
  /** The option names an output file and accepts `-` for standard output; the value is the usual file extension. */
  readonly standardOutput?: string;
  /** Heading under which the help lists the option; the default is "Options". See {@link inSection}. */
  readonly section?: string;
  readonly help: string;
}

/** The positional arguments of a command. A command takes one kind, or none. */
export interface PositionalSpec {
  readonly placeholder: string;
  /** One or more, rather than exactly one. */
  readonly many: boolean;
  /** The only words allowed. */
  readonly values?: readonly string[];
  /**
   * Whether the argument at this position is an adapter, so that `-` means standard input. Commands that read `.lqa` files
   * handle `-` themselves because they stream it.
   */
  readonly standardInput?: (place: number) => boolean;
  /** The last argument is an output file and accepts `-` for standard output; the value is the usual file extension. */
  readonly standardOutput?: string;
  readonly help: string;
}

/** One entry of the command table. */
export interface CommandSpec {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** A paragraph for the command's own help. */
  readonly details: string;
  /** Absent if the command takes only options. */
  readonly positional?: PositionalSpec;
  readonly options: readonly OptionSpec[];
  /** Command lines without the leading `lqa `. */
  readonly examples: readonly string[];
  /** Imports the code of the command. It runs only when the command does. */
  readonly load: () => Promise<{ readonly run: CommandRun }>;
}

/** The argument that means standard input or output. */
export const STANDARD_STREAM = "-";

/** The arguments that are not options. */
export type Positionals = readonly [string, ...string[]];

/** A parsed command line. */
export interface Arguments {
  /** At least one, for a command that takes any. */
  readonly positionals: Positionals;
  /** By long name; flags are `true` or absent, options that may be repeated are lists; defaults are filled in. */
  readonly values: ReadonlyMap<string, OptionValue>;
}

/** The value of an option on a command line. */
export type OptionValue = string | number | true | readonly string[];

/** The whole command line interface. */
export interface ProgramTable {
  readonly commands: readonly CommandSpec[];
  readonly globalOptions: readonly OptionSpec[];
  readonly exitCodes: readonly (readonly [code: number, meaning: string])[];
}

/**
 * Runs a command and resolves to its exit code. Throws if the command fails. The table is for commands that describe the
 * program itself.
 */
export type CommandRun = (args: Arguments, terminal: Terminal, table: ProgramTable) => Promise<number>;

/** The options, listed under one heading in the help. */
export function inSection(section: string, options: readonly OptionSpec[]): readonly OptionSpec[] {
  return options.map((option) => ({ ...option, section }));
}

/** Options by heading, in the order in which the headings occur. */
export function sections(
  options: readonly OptionSpec[],
): readonly (readonly [string, readonly OptionSpec[]])[] {
  const headings = new Set(options.map(({ section = "Options" }) => section));
  return [...headings].map((heading) => [
    heading,
    options.filter(({ section = "Options" }) => section === heading),
  ]);
}

/** An option as the user types it: `-o, --output <file>`. */
export function spelled(option: OptionSpec): string {
  const short = option.short === undefined ? "" : `-${option.short}, `;
  return `${short}--${option.name}${option.placeholder === undefined ? "" : ` ${option.placeholder}`}`;
}

/** The help text of an option, with its values and its default. */
export function described(option: OptionSpec): string {
  const notes: string[] = [];
  if (option.repeated) notes.push("may be repeated");
  if (option.values !== undefined) notes.push(option.values.join(" | "));
  const fallback = option.defaultText ?? option.default;
  if (fallback !== undefined) notes.push(`default: ${fallback}`);
  if (option.required) notes.push("required");
  return notes.length === 0 ? option.help : `${option.help} [${notes.join("; ")}]`;
}

/** Value of a text option, or undefined. */
export function textOption(args: Arguments, name: string): string | undefined {
  const value = args.values.get(name);
  return typeof value === "string" ? value : undefined;
}

/** Values of a text option that may be repeated, in their order. */
export function listOption(args: Arguments, name: string): readonly string[] {
  const value = args.values.get(name);
  return typeof value === "object" ? value : [];
}

/** Value of a number or integer option, or undefined. */
export function numberOption(args: Arguments, name: string): number | undefined {
  const value = args.values.get(name);
  return typeof value === "number" ? value : undefined;
}
