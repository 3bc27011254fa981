/**
 * Of several encodings of an adapter: which one a tuning belongs to, what start it uses, and whether readers take it.
 *
 * @module
 */

import { CRC_BYTES } from "../common/bytes.ts";
import { type ModuleInput, payloadLength } from "../core/format.ts";
import type { LqaFile } from "../core/index.ts";
import { startOperations } from "../core/rooms.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { START_WORK } from "../limits.ts";
import type { Tuning } from "../model/calibration.ts";

/**
 * A known start in a report: its seed, if the file names it by one, the number of modules that use it, and what it saves. That is
 * measured against the same encoding without it: bytes where the goal is an error, and otherwise the share of the weighted error.
 */
export interface UsedStart {
  readonly seed?: number;
  readonly modules: number;
  readonly saved: { readonly bytes: number } | { readonly error: number };
}

/**
 * The encoding that a tuning was trained for: in another one it would silently increase the error.
 *
 * @throws LqaError SOURCE_IMPORTANCE
 */
export function tunedResult<R extends { readonly untuned: string | undefined }>(
  results: readonly R[],
  { contentId }: Tuning,
): R {
  return (
    results.find(({ untuned }) => untuned === undefined || untuned === contentId) ??
    fail(KIND.SOURCE_IMPORTANCE, {
      where: "gains of the calibration file",
      expected: `gains that were trained for this encoding, of content ${results.map(({ untuned }) => untuned).join(" or ")}`,
      actual: contentId,
      advice: "Encode with the options that lqa tune was run with.",
    })
  );
}

/** A child of at most this share of the first file of its chain is taken without a trial of the file without a parent. */
const CLEARLY = 0.5;

/** Whether an encoding against a parent is so small that one without would not be smaller: that costs about as much as the first file. */
export function clearlySmaller(
  results: readonly { readonly bytes: Uint8Array }[],
  parent: LqaFile | undefined,
): boolean {
  if (parent === undefined) return false;
  const first = parent.parents[parent.parents.length - 1] ?? parent;
  return results.some(({ bytes }) => bytes.length <= CLEARLY * first.prologue.fileLength);
}

/**
 * The start of an encoding, for the report.
 *
 * @param plain the encoding without a start
 * @param byError whether both have the same error, and not the same size
 */
export function startUsed(
  made: Encoded,
  plain: Encoded | undefined,
  byError: boolean,
): UsedStart | undefined {
  const started = made.modules.flatMap(({ start }) => start ?? []);
  if (started.length === 0 || plain === undefined) return undefined;
  const { state } = started[0]!.start;
  const saved = byError
    ? { bytes: plain.bytes.length - made.bytes.length }
    : { error: lossOfEncoding(plain) > 0 ? 1 - lossOfEncoding(made) / lossOfEncoding(plain) : 0 };
  return { ...(typeof state === "number" && { seed: state }), modules: started.length, saved };
}

/** An encoding, as far as the report of its start depends on it. */
interface Encoded {
  readonly modules: readonly Pick<ModuleInput, "start">[];
  readonly quantized: readonly { readonly loss?: number }[];
  readonly bytes: Uint8Array;
}

/** The error that the encoder minimizes: weighted, and comparable between encodings of the same components. */
export function lossOfEncoding({ quantized }: Pick<Encoded, "quantized">): number {
  return quantized.reduce((sum, { loss = 0 }) => sum + loss, 0);
}

/** Names of the modules whose start takes more operations for each byte of their chunk than every reader accepts (spec clause 14). */
export function refusedStarts(modules: readonly ModuleInput[]): ReadonlySet<string> {
  const refused = modules.filter(
    (module) =>
      module.start !== undefined &&
      startOperations(module, module.bands) >
        START_WORK.core * (payloadLength(module, module.bands) + CRC_BYTES),
  );
  return new Set(refused.map(({ name }) => name));
}
