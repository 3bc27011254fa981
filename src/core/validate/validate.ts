/**
 * The entry to validation. It imports the checks (`run.ts`) at the first call, and adds the texts to their warnings: `run.ts` has
 * none, because a bundle that splits would load them with `open`. Also opens files that were found valid.
 *
 * @module
 */
import type { Input } from "../../io/input.ts";
import { memorySource } from "../../io/source.ts";
import { feedOf } from "../read/feed.ts";
import { parentsOf, verbsOf } from "../read/file.ts";
import { headerSteps } from "../read/header.ts";
import type { LqaFile, OpenOptions } from "../read/lqa-file.ts";
import { keepingSource } from "../read/ranges.ts";
import { runSteps } from "../read/steps.ts";
import type { VerifiedIds } from "../read/verify.ts";
import { type ValidateOptions, type Validation, warning } from "./validation.ts";

/**
 * Validates a file from any input. For input that is not in memory it needs bounded memory: the index, 4 MiB, and a piece of a
 * chunk (at most 16 MiB by clause 14) or a frame of a compressed one, up to the budget. At level `structure` it reads only
 * prologue and index from ranges, and trusts the length that the source reports. Without `parents` it does not check the parent
 * of a child; with them it does (clause 8.9.2).
 *
 * @param input bytes, a Blob, a URL, ranges, or a stream; it cancels a stream at the end
 * @throws LqaError only as the input (IO, HTTP_RESPONSE, ABORTED), never because of the contents of the file
 * @throws TypeError for a wrong input type
 */
export async function validate(
  input: Input,
  options: ValidateOptions & { readonly signal?: AbortSignal | undefined } = {},
): Promise<Validation> {
  const { suspicions, ...checked } = await (await import("./run.ts")).runValidation(input, options);
  return { ...checked, warnings: suspicions.map(([kind, details]) => warning(kind, details)) };
}

/** Opens a file in memory that a validator has found valid, values included, without hashing it again. */
export async function openVerified(
  bytes: Uint8Array,
  verified: VerifiedIds,
  options: Pick<OpenOptions, "parents"> = {},
): Promise<LqaFile> {
  const header = await runSteps(headerSteps("core"), feedOf(bytes));
  const source = keepingSource(memorySource(bytes));
  const parents = await parentsOf(header.index, options);
  return await verbsOf({ header, source, bytes, pin: undefined, options, parents, verified });
}
