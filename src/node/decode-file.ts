/**
 * Decodes a file, path to path (Node only).
 *
 * @module
 */

import type { ConfigRisk } from "../adapters/config-risks.ts";
import type { LqaFile } from "../core/read/lqa-file.ts";
import { type Rounding, type TargetOptions, writeTarget } from "./convert-file.ts";
import { assertOutput } from "./files/write-output.ts";
import { lowerRank } from "./lower-rank.ts";
import { type AdapterOptions, readValidAdapter } from "./read-valid.ts";

/** Options of {@link decodeFile}. Default of `to`: the dialect that the adapter came from. */
export interface DecodeFileOptions extends TargetOptions, Pick<AdapterOptions, "parents"> {
  /** Most components per module: a lower rank, for programs that have one for all adapters. Default: all. */
  readonly rank?: number | undefined;
}

/** The result of {@link decodeFile}. */
export interface DecodedFile {
  readonly file: LqaFile;
  /** Hexadecimal root digest and content digest (spec clauses 11.2 and 11.3), both verified. */
  readonly fileId: string;
  readonly contentId: string;
  /** Sizes of the written files in bytes, by name. */
  readonly written: ReadonlyMap<string, number>;
  /** Sentences about everything that the dialect states differently or cannot state. */
  readonly notes: readonly string[];
  /** Fields of the source's configuration that are a risk for who loads it. They are not written, unless `keepConfig` is true. */
  readonly configRisks: readonly ConfigRisk[];
  /**
   * ‖ΔW − ΔŴ‖² / ‖ΔW‖² of the encoding, as its encoder recorded it, with factors in F32; absent if the file does not state it.
   */
  readonly relativeError?: number;
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖² of leaving out components; absent without `rank`. */
  readonly rankError?: number;
  /** The error that rounding the factors to their element types added; absent if none. */
  readonly rounding?: Rounding;
  readonly inputBytes: number;
  readonly seconds: number;
}

/**
 * Decodes an `.lqa` file, at a location (see `readLocation`) or in memory, into an adapter of the dialect that it came from, or
 * of another one.
 *
 * The output is a directory, or, if it has the extension of a file of weights, that one file.
 *
 * The file is validated first, including its values, so the output never comes from a broken file.
 *
 * @throws LqaError NOT_FOUND, OUTPUT_EXISTS and IO for the paths; the errors of a broken file that `open` and `validate` list;
 * PARENT_MISSING and PARENT_MISMATCH; UNSUPPORTED_DIALECT and SOURCE_RANGE from `writeAdapter`. Then nothing is written.
 */
export async function decodeFile(
  input: string | Uint8Array,
  output: string,
  options: DecodeFileOptions = {},
): Promise<DecodedFile> {
  const started = performance.now();
  await assertOutput(output, options);
  const { bytes, ids, file, adapter } = await readValidAdapter(input, {
    ...options,
    compare: options.rank !== undefined,
  });
  const lower = options.rank === undefined ? undefined : await lowerRank(adapter, options.rank);
  const target = await writeTarget(lower?.adapter ?? adapter, output, options, []);
  const { relative_error: recorded } = adapter.meta;
  // META is untrusted: this accepts only a number that can be a share.
  const relativeError = typeof recorded === "number" && recorded >= 0 ? recorded : undefined;
  return {
    file,
    ...ids,
    ...target,
    ...(relativeError !== undefined && { relativeError }),
    ...(lower !== undefined && { rankError: lower.relativeError }),
    inputBytes: bytes.length,
    seconds: (performance.now() - started) / 1000,
  };
}
