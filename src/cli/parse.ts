/**
 * Parses the command line into the arguments of one command, and checks them against the command table.
 *
 * `node:util`'s parseArgs splits the words. This file checks them, so that an error says what is wrong, what would
 * be right, and where to read more. All errors are LqaError USAGE.
 *
 * @module
 */
import { parseArgs } from "node:util";
import * as KIND from "../error-catalogue.ts";
import { LqaError } from "../errors.ts";
import { type Arguments, type CommandSpec, type OptionSpec, type OptionValue, spelled } from "./command.ts";
import { nearest } from "./suggest.ts";
import { COMMANDS, GLOBAL_OPTIONS, PYTHON_COMMANDS } from "./table.ts";

/** The request of a command line. */
export type Request =
  /** Help on the program or on one command. */
  | { readonly kind: "help"; readonly command: CommandSpec | undefined }
  | { readonly kind: "version" }
  | { readonly kind: "run"; readonly command: CommandSpec; readonly args: Arguments };

/**
 * Parses a command line.
 *
 * @param words without the program's own name
 * @throws LqaError USAGE
 */
export function parseCommandLine(words: readonly string[]): Request {
  const [first] = words;
  if (first === "help") return { kind: "help", command: words[1] === undefined ? undefined : find(words[1]) };
  if (first === undefined || first.startsWith("-")) return parseGlobal(words);
  const command = find(first);
  const known = [...command.options, ...GLOBAL_OPTIONS];
  const { tokens, positionals } = split(words.slice(1), known);
  const values = new Map<string, OptionValue>();
  for (const token of tokens) {
    const option = known.find(({ name }) => name === token.name);
    if (option === undefined) throw unknownOption(token.rawName, known, command);
    if (option.name === "help") return { kind: "help", command };
    if (option.name === "version") return { kind: "version" };
    const before = values.get(option.name);
    const value = optionValue(option, token, command);
    if (option.repeated === true) values.set(option.name, [...((before ?? []) as string[]), String(value)]);
    else if (before === undefined) values.set(option.name, value);
    else throw usage(`${token.rawName} is given twice`, undefined, command);
  }
  for (const option of command.options) {
    if (values.has(option.name)) continue;
    if (option.required) throw usage(`${spelled(option)} is missing`, `${option.help}`, command);
    if (option.default !== undefined) values.set(option.name, option.default);
  }
  checkPositionals(positionals, command);
  return { kind: "run", command, args: { positionals: positionals as [string, ...string[]], values } };
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}

function split(
  words: readonly string[],
  known: readonly OptionSpec[],
): { tokens: OptionToken[]; positionals: string[] } {
  const options = Object.fromEntries(
    known.map((option) => [
      option.name,
      {
        type: option.type === "flag" ? ("boolean" as const) : ("string" as const),
        ...(option.short === undefined ? {} : { short: option.short }),
      },
    ]),
  );
  const parsed = parseArgs({
    args: [...words],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const tokens: OptionToken[] = [];
  for (const token of parsed.tokens) if (token.kind === "option") tokens.push(token as OptionToken);
  return { tokens, positionals: parsed.positionals };
}

function parseGlobal(words: readonly string[]): Request {
  const { tokens } = split(words, GLOBAL_OPTIONS);
  for (const token of tokens) {
    if (token.name === "help") return { kind: "help", command: undefined };
    if (token.name === "version") return { kind: "version" };
    if (["json", "quiet", "verbose"].includes(token.name)) continue;
    if (COMMANDS.some(({ options }) => options.some(({ name }) => name === token.name))) continue;
    throw unknownOption(token.rawName, GLOBAL_OPTIONS, undefined);
  }
  throw usage("no command", `one of ${COMMANDS.map(({ name }) => name).join(", ")}`, undefined);
}

/** Finds a command by its name. */
function find(word: string): CommandSpec {
  const command = COMMANDS.find(({ name }) => name === word);
  if (command !== undefined) return command;
  const known = COMMANDS.map(({ name }) => name);
  const meant = word.endsWith(".lqa") ? `inspect ${word}` : nearest(word, known);
  const isPython = PYTHON_COMMANDS.some(([name]) => name === word);
  throw new LqaError(KIND.USAGE, {
    expected: isPython ? undefined : `one of ${known.join(", ")}`,
    actual: isPython
      ? `lqa ${word} is in the Python package lqa-format`
      : `unknown command ${JSON.stringify(word)}`,
    advice: isPython
      ? `It runs the model. In a clone, run pip install "./integrations/python[encode,tune]". If it is installed, activate its environment: the PATH leads to another program of this name first.`
      : meant === undefined
        ? "See lqa --help."
        : `Did you mean lqa ${meant}?`,
  });
}

function optionValue(option: OptionSpec, token: OptionToken, command: CommandSpec): string | number | true {
  const { rawName, value } = token;
  if (option.type === "flag") {
    if (value !== undefined) throw usage(`${rawName} takes no value`, undefined, command);
    return true;
  }
  const expected = expectation(option);
  if (value === undefined || value === "") throw usage(`${rawName} has no value`, expected, command);
  if (option.type !== "text" && /^-\.?\d/.test(value))
    throw usage(`${rawName} cannot be ${value}`, `${expected}, not below 0`, command);
  if (token.inlineValue !== true && value.length > 1 && value.startsWith("-")) {
    const hint = `${expected}; write --${option.name}=${value} if the value begins with a dash`;
    throw usage(`${rawName} is followed by ${value}`, hint, command);
  }
  if (option.values !== undefined && !option.values.includes(value)) {
    const meant = nearest(value, option.values);
    throw usage(
      `${rawName} cannot be ${JSON.stringify(value)}`,
      expected,
      command,
      meant === undefined ? undefined : `Did you mean ${rawName} ${meant}?`,
    );
  }
  if (option.pattern !== undefined && !option.pattern.test(value)) {
    throw usage(`${rawName} cannot be ${JSON.stringify(value)}`, expected, command);
  }
  if (option.type === "text") return value;
  const parsed = NUMBERS[option.type](value);
  if (parsed === undefined) throw usage(`${rawName} cannot be ${JSON.stringify(value)}`, expected, command);
  return parsed;
}

/** A number with no more digits than JSON prints. */
const NUMBER = /^(\d{1,15}(\.\d{0,20})?|\.\d{1,20})(e-?\d{1,2})?$/;
const BYTES = /^(\d{1,15}(?:\.\d{1,15})?) ?(?:([kmg])(i?)b?|b)?$/i;

/** Parses a number; undefined if the word is not one of the given kind. */
const NUMBERS: Readonly<
  Record<"integer" | "number" | "bytes" | "share", (word: string) => number | undefined>
> = {
  integer: (word) => (/^\d{1,15}$/.test(word) ? Number(word) : undefined),
  number: (word) => (NUMBER.test(word) ? Number(word) : undefined),
  bytes(word) {
    const [, digits, unit, binary] = BYTES.exec(word) ?? [];
    if (digits === undefined || (unit === undefined && digits.includes("."))) return undefined;
    const power = unit === undefined ? 0 : "kmg".indexOf(unit.toLowerCase()) + 1;
    return Math.floor(Number(digits) * (binary === "" || binary === undefined ? 1000 : 1024) ** power);
  },
  share(word) {
    const percent = /^(.+?) ?%$/.exec(word)?.[1];
    if (percent === undefined) return NUMBERS.number(word);
    // Move the decimal point in the text, so that 0.7% is exactly 0.007.
    return /^\d{1,3}(\.\d{1,15})?$/.test(percent) ? Number(`${percent}e-2`) : undefined;
  },
};

function expectation(option: OptionSpec): string {
  if (option.values !== undefined) return `one of ${option.values.join(", ")}`;
  if (option.expects !== undefined) return option.expects;
  if (option.type === "integer") return "a whole number";
  if (option.type === "number") return "a number";
  if (option.type === "bytes") return "a number of bytes, such as 40000, 40KB or 1.5MiB";
  if (option.type === "share") return "a share, such as 0.01 or 1%";
  return `a value, ${option.placeholder ?? "<text>"}`;
}

function checkPositionals(positionals: readonly string[], command: CommandSpec): void {
  if (command.positional === undefined) {
    if (positionals.length > 0) throw usage(`an argument: ${positionals[0]}`, "options only", command);
    return;
  }
  const { placeholder, many, values, help } = command.positional;
  if (positionals.length === 0) throw usage(`${placeholder} is missing`, help, command);
  if (positionals.includes("")) throw usage(`an empty ${placeholder}`, help, command);
  if (!many && positionals.length > 1) {
    const output = command.options.some(({ name }) => name === "output");
    throw usage(
      `${positionals.length} arguments: ${positionals.join(", ")}`,
      `one ${placeholder}`,
      command,
      output ? `Name the output with -o ${positionals[1]}.` : undefined,
    );
  }
  const wrong = values === undefined ? undefined : positionals.find((word) => !values.includes(word));
  if (wrong === undefined) return;
  const meant = nearest(wrong, values!);
  const advice = meant === undefined ? undefined : `Did you mean ${meant}?`;
  throw usage(`${placeholder} ${JSON.stringify(wrong)}`, `one of ${values!.join(", ")}`, command, advice);
}

/** What people write for an option of another name. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  "--preset": "--quality",
  "--outdir": "--out-dir",
  "-q": "--quality",
};

function unknownOption(rawName: string, known: readonly OptionSpec[], command?: CommandSpec): LqaError {
  const names = known.map(({ name }) => `--${name}`);
  const other = OTHER_WORDS[rawName];
  const meant =
    other !== undefined && names.includes(other)
      ? other
      : rawName.startsWith("--")
        ? nearest(rawName, names)
        : undefined;
  const advice = meant === undefined ? undefined : `Did you mean ${meant}?`;
  return usage(`unknown option ${rawName}`, undefined, command, advice);
}

function usage(actual: string, expected?: string, command?: CommandSpec, advice?: string): LqaError {
  const see = command === undefined ? "See lqa --help." : `See lqa ${command.name} --help.`;
  return new LqaError(KIND.USAGE, {
    actual,
    expected,
    where: command === undefined ? undefined : `lqa ${command.name}`,
    advice: advice === undefined ? see : `${advice} ${see}`,
  });
}
