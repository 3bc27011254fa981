/**
 * Of several encodings of an adapter: which one a tuning belongs to, and what start it uses.
 *
 * @module
 */
import type { PackedModule } from "../core/write/write.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { Tuning } from "../model/calibration.ts";

/** A known start in a report: its seed, if the file names it by one, and the number of modules that use it. */
export interface UsedStart {
  readonly seed?: number;
  readonly modules: number;
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

/** The start of modules, for the report. */
export function startUsed(modules: readonly PackedModule[]): UsedStart | undefined {
  const started = modules.flatMap(({ start }) => start ?? []);
  if (started.length === 0) return undefined;
  const { state } = started[0]!.start;
  return { ...(typeof state === "number" && { seed: state }), modules: started.length };
}
