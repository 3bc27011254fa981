/**
 * The first line of an error that the user can mend: the mistake, in the words of the command line.
 *
 * The library names its own options (`maxError`); here they are those that people type (`--max-error`).
 *
 * @module
 */
import type { Described } from "./report-error.ts";

/** An option of the library: a word without spaces. */
const NAME = /^[a-z]+([A-Z][a-z]+)*$/;
/** Options of the library that a sentence may name. */
const NAMED = /\b(?:maxBytes|maxError|hRule|alphaPattern|expertLayout)\b/g;

/** The mistake, and the place where it is still to be said; undefined for an error that is no mistake of the user. */
export function mistake({
  kind,
  where,
  expected,
  actual,
}: Described): { mistake: string; where: string | undefined } | undefined {
  if (kind === "NOT_FOUND" && where) return { mistake: notFound(where, expected, actual), where: undefined };
  if (kind === "OUTPUT_EXISTS" && where && !actual)
    return { mistake: `${where} exists already`, where: undefined };
  if (kind === "IO" && where && actual)
    return { mistake: `${where}: ${withoutCode(actual)}`, where: undefined };
  if (kind === "MISSING_PACKAGE" && where)
    return { mistake: `The package ${where} is not installed`, where: undefined };
  if (kind !== "USAGE" || actual === undefined || actual === null) return undefined;
  const text = inWords(String(actual));
  if (typeof where !== "string" || /^lqa( |$)/.test(where))
    return { mistake: text, where: where ?? undefined };
  if (NAME.test(where)) return { mistake: `${optionName(where)} cannot be ${text}`, where: undefined };
  if (typeof actual === "number" && /^at least \d+ bytes$/.test(String(expected)))
    return { mistake: `${text} bytes are too few for ${where}`, where: undefined };
  if (typeof actual === "number") return { mistake: `${where} cannot be ${text}`, where: undefined };
  return { mistake: `${text} for ${inWords(where)}`, where: undefined };
}

type Value = Described["actual"];

function notFound(where: string, expected: Value, actual: Value): string {
  if (expected && (!actual || actual === "none")) return `${where} has no ${expected}`;
  if (!actual) return `${where} does not exist`;
  // A file of a directory, whose files are listed.
  if (/^[\w.]+\.[a-z]+$/.test(String(expected)))
    return String(actual).startsWith('"')
      ? `${where} has no ${expected}, only ${actual}`
      : `${where} is ${actual}`;
  return String(actual).startsWith('"') ? `${where} does not exist, only ${actual}` : `${where}: ${actual}`;
}

/** `permission denied (EACCES)`, of what the operating system said. */
function withoutCode(actual: NonNullable<Value>): string {
  return String(actual).replace(/^(E[A-Z0-9]+): (.*)$/s, "$2 ($1)");
}

/** A sentence with the options of the command line. */
export function inWords(text: string): string {
  return text.replace(NAMED, optionName);
}

function optionName(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
