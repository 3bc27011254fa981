/**
 * Compares bytes and decodes text; shared by all folders.
 *
 * @module
 */

/** Keeps a leading U+FEFF, which a decoder drops unless `ignoreBOM` is set: names that differ in it are different names. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes all of `bytes`, a leading U+FEFF included. @throws TypeError if they are not valid UTF-8 */
export function decodeUtf8(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}

/** True if both hold the same bytes. */
export function equalBytes(x: Uint8Array, y: Uint8Array): boolean {
  if (x.length !== y.length) return false;
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}
