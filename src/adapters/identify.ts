/**
 * What the files of an adapter look like when no dialect of this version reads them, so that the refusal can say so.
 *
 * @module
 */
import { isLqaError } from "../errors.ts";
import type { SourceBytes, SourceFiles } from "./dialect.ts";
import { otherMethod } from "./other-methods.ts";
import { readTensorFile } from "./tensor-file.ts";

/** A guess at a source: what it looks like, and what to do about it. */
export interface Identification {
  /** The file the guess rests on, if there is one. */
  readonly file: string | undefined;
  readonly looksLike: string;
  readonly advice: string;
}

const CONVERT = "Load the adapter with the tool it came from and save it with PEFT.";

/** Signs of a convention that is not read: a key that matches, and the name. */
const CONVENTIONS: readonly (readonly [RegExp, string])[] = [
  [
    /^w_[ab]_\d+$/,
    "a LoRA-ViT file (w_a_000), which says neither which layers it adapts nor which rows of them",
  ],
];

/** Enough to know a file by. */
const MAGIC_BYTES = 32;

/** Looks at the files. Throws nothing but what reading a file throws, and UNSAFE_PICKLE. */
export function identify(files: SourceFiles): Identification {
  for (const [file, bytes] of files) {
    const magic = identifyMagic(bytes.subarray(0, MAGIC_BYTES));
    if (magic !== undefined) return { file, ...magic };
  }
  for (const [file, bytes] of files) {
    if (!file.endsWith(".json")) return { file, ...identifyKeys(file, bytes) };
  }
  const file = [...files.keys()][0];
  return { file, looksLike: "no weights", advice: "Give the directory that PEFT's save_pretrained wrote." };
}

function identifyMagic(bytes: Uint8Array): Omit<Identification, "file"> | undefined {
  const at = (offset: number, text: string): boolean =>
    [...text].every((letter, index) => bytes[offset + index] === letter.charCodeAt(0));
  if (at(0, "\x89LQA"))
    return { looksLike: "an LQA file", advice: "It is encoded already; decode it instead." };
  if (at(0, "version https://git-lfs")) {
    return {
      looksLike: "a Git LFS pointer",
      advice: "Fetch the file itself, for example with git lfs pull.",
    };
  }
  return undefined;
}

function identifyKeys(file: string, bytes: SourceBytes): Omit<Identification, "file"> {
  let names: string[];
  try {
    names = [...readTensorFile(bytes, file).tensors.keys()];
  } catch (error) {
    // What the reader recognised is worth more than that it is no file of tensors.
    if (isLqaError(error, "UNSAFE_PICKLE") || isLqaError(error, "UNSUPPORTED_DIALECT")) throw error;
    const reason = isLqaError(error) ? error.message : "unreadable";
    return { looksLike: `no file of tensors: ${reason}`, advice: "Fetch the file again, or save it again." };
  }
  for (const [pattern, looksLike] of CONVENTIONS) {
    if (names.some((name) => pattern.test(name))) return { looksLike, advice: CONVERT };
  }
  const method = names.map(otherMethod).find((name) => name !== undefined);
  if (method !== undefined) {
    return { looksLike: `${method}, which is no LoRA`, advice: "Keep this adapter in its source format." };
  }
  return { looksLike: "tensors of a convention unknown to this version", advice: CONVERT };
}
