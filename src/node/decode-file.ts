/**
 * Decoding from path to path (Node only).
 *
 * @module
 */

import type { LqaFile } from "../core/read/lqa-file.ts";
import { type Rounding, type TargetOptions, writeTarget } from "./convert-file.ts";
import { assertOutput } from "./files/write-output.ts";
import { type AdapterOptions, readValidAdapter } from "./read-valid.ts";

/** How {@link decodeFile} writes. Without `to`: the dialect the adapter came from. */
export type DecodeFileOptions = TargetOptions & Pick<AdapterOptions, "parents">;

/** What {@link decodeFile} did. */
export interface DecodedFile {
  readonly file: LqaFile;
  /** Hexadecimal root digest and content digest (spec clauses 11.2 and 11.3), both checked. */
  readonly fileId: string;
  readonly contentId: string;
  /** Sizes of the files written, by name. */
  readonly written: ReadonlyMap<string, number>;
  /** What the dialect says in another way or not at all: sentences. */
  readonly notes: readonly string[];
  /**
   * ‖ΔW − ΔŴ‖² / ‖ΔW‖² of the encoding, as its encoder recorded it, factors in F32; absent if the file does not say it.
   */
  readonly relativeError?: number;
  /** What rounding the factors to their element types added to that; absent if nothing. */
  readonly rounding?: Rounding;
  readonly inputBytes: number;
  readonly seconds: number;
}

/**
 * Decodes an `.lqa` file, at a location (see `readLocation`) or in memory, into an adapter of the dialect it came from, or of another one.
 *
 * The output is a directory, or, with the ending of a file of weights, that one file.
 *
 * The file is validated first, values included: what is written is never the decoding of a broken file.
 *
 * @throws LqaError: NOT_FOUND, OUTPUT_EXISTS and IO for the paths; what a broken file can cause is listed at `open` and
 * `validate`; PARENT_MISSING and PARENT_MISMATCH; UNSUPPORTED_DIALECT and SOURCE_RANGE from `writeAdapter`. Nothing is written then.
 */
export async function decodeFile(
  input: string | Uint8Array,
  output: string,
  options: DecodeFileOptions = {},
): Promise<DecodedFile> {
  const started = performance.now();
  await assertOutput(output, options);
  const { bytes, ids, file, adapter } = await readValidAdapter(input, options);
  const target = await writeTarget(adapter, output, options, []);
  const { relative_error: recorded } = adapter.meta;
  // Anyone can write META: only a share is repeated.
  const relativeError = typeof recorded === "number" && recorded >= 0 ? recorded : undefined;
  return {
    file,
    ...ids,
    ...target,
    ...(relativeError !== undefined && { relativeError }),
    inputBytes: bytes.length,
    seconds: (performance.now() - started) / 1000,
  };
}
