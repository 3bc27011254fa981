/**
 * Comparing bytes, which every room does.
 *
 * @module
 */

/** True if both hold the same bytes. */
export function equalBytes(x: Uint8Array, y: Uint8Array): boolean {
  if (x.length !== y.length) return false;
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}
