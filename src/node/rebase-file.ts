/**
 * Makes a child adapter whole, or moves it to another parent (spec clause 8.9), location to path (Node only).
 *
 * @module
 */
import { open } from "../core/read/file.ts";
import type { VerifiedIds } from "../core/read/verify.ts";
import { encodeAdapter } from "../encode/encode.ts";
import type { EncodeReport } from "../encode/report.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { parameterCount } from "../model/adapter.ts";
import type { LocationOptions } from "./adapter-source.ts";
import { assertWritable, type OutputOptions, writeFileAtomic } from "./files/write-file.ts";
import { openParent, openParents } from "./open-parents.ts";
import { readValidAdapter } from "./read-valid.ts";
import { suitableWorkers, withWorkers } from "./workers/pool.ts";

/** Options of {@link rebaseFile}. */
export interface RebaseFileOptions extends OutputOptions, LocationOptions {
  /** Locations of the current parents and of those of `onto`. */
  readonly parents: readonly string[];
  /** Location of the new parent. Default: none; the file becomes whole. */
  readonly onto?: string | undefined;
  /** Largest ‖ΔW − ΔŴ‖² / ‖ΔW‖² against the child. Default: 0 for a whole file, which then stores F32; 0.001 with `onto`. */
  readonly maxError?: number | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** The result of {@link rebaseFile}; errors are against the child. */
export interface RebasedFile extends EncodeReport, VerifiedIds {
  readonly inputBytes: number;
  readonly seconds: number;
}

/** Default of `maxError` with `onto`. */
const MOVED_ERROR = 0.001;

/**
 * Writes the adapter of a child without its parent, or with another one. A whole file without `maxError` decodes to the same bits
 * as the child, and takes four bytes per weight.
 *
 * @throws LqaError USAGE for a file without a parent if there is no `onto`; NOT_FOUND, OUTPUT_EXISTS and IO for the paths;
 *   PARENT_MISSING, PARENT_MISMATCH; the errors of a broken file that `open` and `validate` list; as `encodeAdapter`. Then
 *   nothing is written.
 */
export async function rebaseFile(
  input: string,
  output: string,
  options: RebaseFileOptions,
): Promise<RebasedFile> {
  const started = performance.now();
  const { onto, signal, onProgress } = options;
  await assertWritable(output, options);
  const parents = await openParents(options.parents, options);
  const { bytes: child, file, adapter } = await readValidAdapter(input, { ...options, parents });
  if (file.parentId === undefined && onto === undefined)
    fail(KIND.USAGE, { where: input, expected: "a file with a parent, or --onto", actual: "a whole file" });
  const parent = onto === undefined ? undefined : await openParent([onto, ...options.parents], options);
  const maxError = options.maxError ?? (onto === undefined ? undefined : MOVED_ERROR);
  const { relative_error: recorded } = adapter.meta;
  const how = {
    ...(maxError === undefined ? { profile: "raw" as const } : { maxError }),
    ...(parent && { parent }),
    ...(typeof recorded === "number" && recorded >= 0 && { sourceError: recorded }),
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  };
  const parameters = adapter.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  const { bytes, report } = await withWorkers(suitableWorkers(parameters), (executor) =>
    encodeAdapter(adapter, { ...how, executor }),
  );
  // Reads back the bytes before they are written, as in encodeFile.
  const ids = await (await open(bytes, { parents: parent && [parent] })).verify();
  await writeFileAtomic(output, bytes, options);
  return { ...report, ...ids, inputBytes: child.length, seconds: (performance.now() - started) / 1000 };
}
