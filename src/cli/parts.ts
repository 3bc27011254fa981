/**
 * Accounts for the bytes of a file: every byte belongs to exactly one part (spec clause 4.1).
 *
 * @module
 */
import type { OpenedFile } from "./open-input.ts";

/**
 * Parts in file order with their bytes. Padding, which is spread over the file, comes last. The bytes add up to the size of
 * the file.
 */
export function byteParts(file: Pick<OpenedFile, "prologue" | "index">): [name: string, bytes: number][] {
  const { prologue, index } = file;
  const { modules, tensors, sections, digests, trailer } = index;
  const sum = (records: readonly { readonly chunk: { readonly length: number } }[]): number =>
    records.reduce((total, { chunk }) => total + chunk.length, 0);
  const parts: [string, number][] = [
    ["prologue", 64],
    ["index", prologue.indexLength],
    ["module chunks", sum(modules)],
    ["tensor chunks", sum(tensors)],
    ["sections", sum(sections)],
    ["digests", digests.length],
    ["trailer", trailer.length],
  ];
  const known = parts.reduce((total, [, bytes]) => total + bytes, 0);
  return [...parts, ["padding", prologue.fileLength - known]];
}
