/**
 * Numbers, texts and JSON documents as the terminal shows them.
 *
 * @module
 */
export { count, counted, decibels, duration, percent, ratio, size } from "../report/format.ts";

/**
 * What steers a terminal, turns the direction of text, or takes no room on the screen, so that two names look like one:
 * controls (C0, DEL, C1), formats (bidirectional controls, joiners, tags), everything that Unicode lets a font ignore
 * (fillers, variation selectors), the blank of Braille, separators of lines and paragraphs, lone surrogates, and code points
 * that are no characters.
 */
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800]/gu;

/** `\u202e`: one escape for each UTF-16 unit, as JSON has it. */
function unitEscapes(character: string): string {
  return character
    .split("")
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}

/** A text from a file in one line that is safe to print: what steers a terminal or hides becomes a visible escape. */
export function printable(text: string): string {
  return text.replace(UNSEEN, unitEscapes);
}

/**
 * A JSON document that is safe to print, with a newline at its end. The values are those of `JSON.stringify`; what
 * {@link printable} escapes is escaped in its strings, too.
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
  // Newlines inside strings are escaped already: those that are left lie between values.
  return `${text.replace(UNSEEN, (character) => (character === "\n" ? character : unitEscapes(character)))}\n`;
}

/** What JSON lacks: byte strings as hexadecimal text, infinity as text. */
export function jsonValue(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return value === Number.POSITIVE_INFINITY ? "Infinity" : value;
}
