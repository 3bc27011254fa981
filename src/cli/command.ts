/**
 * What a command is: the shape of the entries of the command table (`table.ts`), and what a command gets to run with.
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
  /** What stands for the value in the help, e.g. `<file>`. Not for flags. */
  readonly placeholder?: string;
  /** The only values allowed, as they are written. */
  readonly values?: readonly string[];
  /** A text must match this, and is described as `expects` if it does not. */
  readonly pattern?: RegExp;
  readonly expects?: string;
  /** Value if the option is absent; shown in the help and given to the command. */
  readonly default?: string | number;
  /** Shown instead of `default` where the default is not a plain value. */
  readonly defaultText?: string;
  readonly required?: boolean;
  /** A file to write, for which `-` is standard output: how such a file usually ends. */
  readonly standardOutput?: string;
  /** An adapter or a model to read, for which `-` is standard input. */
  readonly standardInput?: boolean;
  readonly help: string;
}

/** The positional arguments of a command; a command takes one kind, or none. */
export interface PositionalSpec {
  readonly placeholder: string;
  /** One or more, rather than exactly one. */
  readonly many: boolean;
  /** The only words allowed. */
  readonly values?: readonly string[];
  /**
   * Whether an adapter is read at this place, for which `-` is standard input. Commands that read `.lqa` files take `-`
   * themselves, as it comes in.
   */
  readonly standardInput?: (place: number) => boolean;
  /** The last of several is a file to write, for which `-` is standard output: how such a file usually ends. */
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
  /** Absent if everything is said by options. */
  readonly positional?: PositionalSpec;
  readonly options: readonly OptionSpec[];
  /** Command lines without the leading `lqa `. */
  readonly examples: readonly string[];
  /** Loads the code of the command: nothing is imported before it is needed. */
  readonly load: () => Promise<{ readonly run: CommandRun }>;
}

/** What stands for a standard stream among the arguments. */
export const STANDARD_STREAM = "-";

/** The arguments that are no options. */
export type Positionals = readonly [string, ...string[]];

/** A parsed command line. */
export interface Arguments {
  /** At least one, for a command that takes any. */
  readonly positionals: Positionals;
  /** By long name; flags are `true` or absent; defaults are filled in. */
  readonly values: ReadonlyMap<string, string | number | true>;
}

/** Everything the command line understands. */
export interface ProgramTable {
  readonly commands: readonly CommandSpec[];
  readonly globalOptions: readonly OptionSpec[];
  readonly exitCodes: readonly (readonly [code: number, meaning: string])[];
}

/**
 * Runs a command and resolves to its exit code. What goes wrong is thrown. The table is for commands that are about the program
 * itself.
 */
export type CommandRun = (args: Arguments, terminal: Terminal, table: ProgramTable) => Promise<number>;

/** An option as it is written: `-o, --output <file>`. */
export function spelled(option: OptionSpec): string {
  const short = option.short === undefined ? "" : `-${option.short}, `;
  return `${short}--${option.name}${option.placeholder === undefined ? "" : ` ${option.placeholder}`}`;
}

/** What an option is for, with its values and its default. */
export function described(option: OptionSpec): string {
  const notes: string[] = [];
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

/** Value of a number or integer option, or undefined. */
export function numberOption(args: Arguments, name: string): number | undefined {
  const value = args.values.get(name);
  return typeof value === "number" ? value : undefined;
}
