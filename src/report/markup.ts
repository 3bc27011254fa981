/**
 * Escapes text for HTML and XML. Names and metadata come from files, so this replaces control characters and others that XML
 * forbids by U+FFFD, and removes marks that change the direction of text.
 *
 * @module
 */

/** Escapes a text as element content or as the value of a quoted attribute, in XML and HTML. */
export function escaped(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML forbids these
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufffe\uffff]|\p{Cs}/gu, "\ufffd")
      .replace(/[\u202a-\u202e\u2066-\u2069]/g, "")
      .replace(/&/g, "&amp;")
      .replace(/</g, "&lt;")
      .replace(/>/g, "&gt;")
      .replace(/"/g, "&quot;")
  );
}
