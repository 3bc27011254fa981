/**
 * Formats numbers, texts and JSON documents for the terminal.
 *
 * @module
 */
export { count, counted, decibels, duration, percent, ratio, size } from "../report/format.ts";

/** A remaining time, rounded to what an estimate can tell: `42 s`, `12 min`, `1.5 h`. */
export function remaining(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/**
 * Characters that control a terminal, change the direction of text, or are invisible and so make two names look alike:
 * controls (C0, DEL, C1), format characters (bidirectional controls, joiners, tags), everything that Unicode lets a font
 * ignore (fillers, variation selectors), the Braille blank, line and paragraph separators, lone surrogates, and
 * noncharacters.
 */
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800]/gu;

/** `\u202e`: one escape for each UTF-16 unit, as in JSON. */
function unitEscapes(character: string): string {
  return character
    .split("")
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}

/** Makes a text from a file safe to print on one line: escapes control and invisible characters. */
export function printable(text: string): string {
  return text.replace(UNSEEN, unitEscapes);
}

/**
 * Formats a JSON document that is safe to print, with a final newline. It parses to the same value as the output of
 * `JSON.stringify`; its strings also escape what {@link printable} escapes.
 *
 * @param replacer as that of `JSON.stringify`
 * @param indent spaces for each level; 0 for one line
 */
export function jsonText(
  value: unknown,
  replacer?: (key: string, value: unknown) => unknown,
  indent = 2,
): string {
  const text = JSON.stringify(value, replacer, indent);
  // Newlines inside strings are already escaped; the remaining ones separate values.
  return `${text.replace(UNSEEN, (character) => (character === "\n" ? character : unitEscapes(character)))}\n`;
}

/** Formats an event as one line of JSON that begins with the time, without a newline. */
export function jsonLogLine(event: object): string {
  return jsonText({ time: new Date().toISOString(), ...event }, undefined, 0).trimEnd();
}

/** Converts values that JSON lacks: byte strings to hexadecimal text, infinity to text. */
export function jsonValue(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return value === Number.POSITIVE_INFINITY ? "Infinity" : value;
}
