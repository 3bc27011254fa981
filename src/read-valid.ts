/**
 * An `.lqa` file in memory whose every byte has passed the validator (Node only), for what needs all of it at once.
 *
 * A large file is validated while it is read, before it is given any memory: a gigabyte from a stranger costs one only if
 * it is a valid file.
 *
 * @module
 */
import { openFileReader, readWholeFile } from "./io/file.ts";
import type { VerifiedIds } from "./read/verify.ts";
import { type ValidationLevel, validateLqa, validateReader } from "./validate/validate.ts";

/** From here on a file is read twice. */
const LARGE = 2 ** 26;

/** A valid file. */
export interface ValidFile {
  readonly bytes: Uint8Array;
  readonly ids: VerifiedIds;
}

/**
 * Reads a file by its path, or takes its bytes.
 *
 * @param level `integrity` or more; default `values`
 * @throws LqaError the first error of the file; NOT_FOUND, IO, BUDGET, ABORTED as `readWholeFile`
 */
export async function readValid(
  input: string | Uint8Array,
  { level, signal }: { readonly level?: ValidationLevel; readonly signal?: AbortSignal | undefined } = {},
): Promise<ValidFile> {
  const how = { level, warnings: false } as const;
  if (typeof input === "string") await refuseLarge(input, how);
  const bytes = typeof input === "string" ? await readWholeFile(input, signal) : input;
  const { error, ids } = await validateLqa(bytes, how);
  if (error !== undefined) throw error;
  if (ids === undefined) throw new TypeError("a file was validated without its ids");
  return { bytes, ids };
}

async function refuseLarge(path: string, how: Parameters<typeof validateReader>[1]): Promise<void> {
  const reader = await openFileReader(path);
  try {
    if (reader.size === undefined || reader.size < LARGE) return;
    const { error } = await validateReader(reader, how);
    if (error !== undefined) throw error;
  } finally {
    await reader.close();
  }
}
