/**
 * Numbers and texts as the terminal shows them.
 *
 * @module
 */
export { count, counted, decibels, duration, percent, ratio, size } from "../report/format.ts";

/**
 * A text from a file as it may be printed: control characters, which could steer the terminal, become visible escapes.
 */
export function printable(text: string): string {
  // C0 and C1 controls, and the marks that reverse or hide text.
  return text.replace(
    /[\p{Cc}\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
