/**
 * The first line of a usage error: the mistake, in the words of the command line.
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
  actual,
}: Described): { mistake: string; where: string | undefined } | undefined {
  if (kind !== "USAGE" || actual === undefined || actual === null) return undefined;
  const text = inWords(String(actual));
  if (typeof where !== "string" || /^lqa( |$)/.test(where))
    return { mistake: text, where: where ?? undefined };
  if (NAME.test(where)) return { mistake: `${optionName(where)} cannot be ${text}`, where: undefined };
  if (typeof actual === "number") return { mistake: `${where} cannot be ${text}`, where: undefined };
  return { mistake: `${text} for ${inWords(where)}`, where: undefined };
}

/** A sentence with the options of the command line. */
export function inWords(text: string): string {
  return text.replace(NAMED, optionName);
}

function optionName(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
