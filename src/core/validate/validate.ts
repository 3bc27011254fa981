/**
 * The door to validation, whose checks are loaded when they are first needed.
 *
 * @module
 */
import type { Input } from "../io/input.ts";
import type { ValidateOptions, Validation } from "./validation.ts";

/**
 * Validates a file from any input. Input that is not in memory needs bounded memory: the index, 4 MiB, and a piece of a chunk
 * (clause 14 makes that at most 16 MiB) or a frame of a compressed one, up to the budget. At level `structure` only prologue
 * and index are read from ranges, and the length is the one that the source reports. Without `parents` a child is valid whatever its
 * parent is; with them also its parent is checked (clause 8.9.2).
 *
 * @param input bytes, a Blob, a URL, ranges, or a stream, which is cancelled at the end
 * @throws LqaError only as the input (IO, HTTP_RESPONSE, ABORTED), never because of the contents of the file; TypeError for
 *   a wrong input type
 */
export async function validate(
  input: Input,
  options: ValidateOptions & { readonly signal?: AbortSignal | undefined } = {},
): Promise<Validation> {
  return (await import("./run.ts")).validate(input, options);
}
