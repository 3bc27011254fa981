/**
 * Text of strangers in other languages: a name as text of Markdown, as a word of a shell, as a string of a program.
 *
 * @module
 */

/** Text that Markdown shows as it is, in one line: no markup, no HTML, no link, no control or format characters. */
export function markdownText(text: string): string {
  return text
    .slice(0, 200)
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, " ")
    .trim()
    .replace(/[\\`*_{}[\]()<>#+!|~&@$]/g, (mark) => `\\${mark}`);
}

/** One word of a POSIX shell. Words that need no quotes have none. */
export function shellWord(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A string of TypeScript and of Python: the escapes of JSON mean the same in both. */
export function codeString(text: string): string {
  return JSON.stringify(text);
}
