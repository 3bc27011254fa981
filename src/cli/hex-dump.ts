/**
 * Hex dump of the bytes around a place in a file: offset, bytes, text, and a mark below the byte in question.
 *
 * @module
 */
import type { Terminal } from "./terminal.ts";

const ROW = 16;

/** The range of bytes to show: from one row before the offset to one row after it. */
export function dumpRange(offset: number): { readonly begin: number; readonly end: number } {
  const row = offset - (offset % ROW);
  return { begin: Math.max(0, row - ROW), end: row + 2 * ROW };
}

/**
 * Rows of 16 bytes.
 *
 * @param bytes the bytes of the file from `begin` on; `begin` is a multiple of 16
 * @param offset the byte to mark
 */
export function hexDump(
  bytes: Uint8Array,
  begin: number,
  offset: number,
  colors: Terminal["colors"],
): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += ROW) {
    const row = bytes.subarray(at, at + ROW);
    const hex = Array.from(row, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = Array.from(row, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "."));
    lines.push(
      `${colors.dim((begin + at).toString().padStart(10))}  ${hex.padEnd(3 * ROW - 1)}  ${text.join("")}`,
    );
    const column = offset - begin - at;
    if (column >= 0 && column < ROW) lines.push(`${" ".repeat(12 + 3 * column)}${colors.red("^^")}`);
  }
  if (offset >= begin + bytes.length) lines.push(`${"".padStart(12)}${colors.red("end of the file")}`);
  return lines;
}
