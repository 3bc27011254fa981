/**
 * Identifies a path that does not lead to an `.lqa` file (Node only), for the errors of all readers.
 *
 * @module
 */
import type { Identification } from "../adapters/identify.ts";
import { isLqaError, LqaError } from "../errors.ts";
import { CONFIG_FILE, usualWeights, WEIGHTS_ENDING } from "./files/adapter-names.ts";
import { isDirectory, namesIn, openFileSource } from "./files/file.ts";
import { quotePath } from "./files/os-error.ts";

/** First bytes of files that hold adapters or models, and their names. */
const WEIGHTS: readonly (readonly [RegExp, string])[] = [
  [/^[\s\S]{6}␀␀\{/, "a safetensors file"],
  [/^GGUF/, "a GGUF file"],
  [/^[\s\S]{4}TORT/, "an adapter of ONNX Runtime"],
  [/^PK␃␄/, "a zip archive, perhaps of PyTorch or NumPy"],
  [/^\x80[␂-␅]/, "a pickle, as PyTorch writes it"],
];

/** Advice for an adapter that is not encoded. */
const ENCODE = "If it is an adapter, encode it first: lqa encode <adapter> -o <file>.lqa.";

/**
 * The error of reading `path` as an `.lqa` file, extended by what the path leads to, if that is known.
 *
 * @param error what the reader threw; an error that does not concern the kind of file is returned unchanged
 */
export async function explainNotLqa(path: string, error: unknown): Promise<unknown> {
  if (!isLqaError(error)) return error;
  const signature = error.kind === "BAD_MAGIC" || error.kind === "TRUNCATED_PROLOGUE";
  if (!signature && error.kind !== "IO") return error;
  try {
    const found = (await isDirectory(path))
      ? await ofDirectory(path)
      : signature
        ? await ofFile(path)
        : undefined;
    if (found === undefined) return error;
    const { offset, expected, actual } = error;
    const details = signature ? { offset, expected, actual } : {};
    return new LqaError(error, {
      ...details,
      summary: `This is ${found.what}, not an .lqa file.`,
      where: error.where ?? quotePath(path),
      advice: found.advice,
      cause: error,
    });
  } catch {
    // If the path cannot be read again, the first error remains.
    return error;
  }
}

async function ofDirectory(path: string): Promise<Identification> {
  const names = await namesIn(path);
  const adapter =
    names.includes(CONFIG_FILE) ||
    usualWeights(names) !== undefined ||
    names.some((name) => WEIGHTS_ENDING.test(name));
  if (adapter) return { what: "a directory with an adapter", advice: ENCODE };
  const advice = "Give the path of an .lqa file, or a directory that holds some.";
  if (names.length === 0) return { what: "an empty directory", advice };
  return {
    what: names.some((name) => name.endsWith(".lqa")) ? "a directory" : "a directory without .lqa files",
    advice,
  };
}

async function ofFile(path: string): Promise<Identification | undefined> {
  // Needed for this error alone, and many files.
  const { HEAD_BYTES, identify, textOf } = await import("../adapters/identify.ts");
  const source = await openFileSource(path);
  try {
    const head = await source.read(0, HEAD_BYTES);
    const text = textOf(head);
    const weights = WEIGHTS.find(([pattern]) => pattern.test(text));
    if (weights !== undefined) return { what: weights[1], advice: ENCODE };
    if (/^\x89LQA/.test(text)) return undefined; // one that was cut off
    if (text === "") return { what: "an empty file", advice: "Fetch the file again." };
    return identify({ name: "", head, keys: [] });
  } finally {
    await source.close();
  }
}
