/**
 * Kernels as they are embedded in sources: as a text of printable ASCII in which nearly every byte is one character, so that
 * gzip finds in it what repeats in the bytes. The decoder's kernel has 25,494 bytes, 5.1 KB gzipped. As text it has 25,991
 * characters, and gzipped 5.1 KB again, where hexadecimal takes 5.7 KB (and is longer than the window of gzip) and base64 8.3
 * KB.
 *
 * There are 84 characters: from `(` to `~` without `<`, `\` and the backtick, so that no bundler has to escape one. The text
 * begins with a table: 64 letters from `@` to `O`, four byte values each, that say which values are frequent. The characters
 * represent these in order; the remaining three, each followed by a second character, represent the rare values.
 *
 * @module
 */

const CHARACTERS = 84;
const TABLE = 64;

/** The bytes of a text that `textOf` of build.mjs wrote. */
export function bytesOfText(text: string): Uint8Array<ArrayBuffer> {
  const frequent: number[] = [];
  const rare: number[] = [];
  for (let value = 0; value < 256; value++)
    ((text.charCodeAt(value >> 2) >> (value & 3)) & 1 ? frequent : rare).push(value);
  const bytes = new Uint8Array(text.length);
  let at = TABLE;
  let length = 0;
  const next = (): number => {
    const code = text.charCodeAt(at++);
    return code - (code < 60 ? 40 : code < 92 ? 41 : code < 96 ? 42 : 43);
  };
  while (at < text.length) {
    const first = next();
    bytes[length++] = frequent[first] ?? rare[(first - frequent.length) * CHARACTERS + next()]!;
  }
  return bytes.subarray(0, length);
}
