/**
 * Encoding from path to path (Node only): the output is whole or absent, and replaces an existing file only with `force`. Where
 * the output cannot be written, the error comes before the work.
 *
 * @module
 */

import { type CalibrationFile, readCalibration } from "../adapters/calibration/index.ts";
import type { DialectName, ReadSettings } from "../adapters/dialect.ts";
import { readAdapter } from "../adapters/index.ts";
import { toHex } from "../core/container/bytes.ts";
import { open } from "../core/read/file.ts";
import type { LqaFile } from "../core/read/lqa-file.ts";
import { type EncodeControls, type EncodeReport, encodeAdapter } from "../encode/encode.ts";
import type { QuantizeOptions } from "../encode/quantize/profile.ts";
import type { Executor } from "../encode/quantize/tasks.ts";
import { parameterCount } from "../model/adapter.ts";
import { type LocationOptions, openSourceFiles } from "./adapter-source.ts";
import { type BaseDigests, baseDigests } from "./base-digest.ts";
import { summarizeNotes } from "./convert-file.ts";
import { type DoraError, doraError, magnitudesOf } from "./dora-error.ts";
import type { OpenAdapterFiles } from "./files/adapter-files.ts";
import { readWholeFile } from "./files/file.ts";
import { assertWritable, type OutputOptions, writeFileAtomic } from "./files/write-file.ts";
import { openParent } from "./open-parents.ts";
import { suitableWorkers, withWorkers } from "./workers/pool.ts";

/** How {@link encodeFile} encodes and writes. */
export type EncodeFileOptions = QuantizeOptions & EncodeFileControls;

/** What does not depend on the profile. */
export interface EncodeFileControls
  extends Omit<EncodeControls, "calibration" | "parent" | "sourceError">,
    OutputOptions,
    Omit<LocationOptions, "signal">,
    Omit<ReadSettings, "onNote"> {
  /** The dialect of the adapter. Default: the one it looks like. */
  readonly from?: DialectName | undefined;
  /** Threads that encode, from 1 on. Default: one for each core, if the adapter is large enough. Never changes the bytes. */
  readonly workers?: number | undefined;
  /**
   * Location of the base model, see `baseDigest`. The digest of the weights that the adapter adapts is written into META (spec clause
   * 10.6), so that another model of the same shapes is noticed.
   */
  readonly base?: string | undefined;
  /** Path of a calibration file, see `readCalibration`. */
  readonly calibration?: string | undefined;
  /**
   * The parent: see `EncodeControls`. Its location, as in `readLocation`, and behind it those of its own parents; or the file, open
   * with its parents.
   */
  readonly parent?: LqaFile | string | readonly [string, ...string[]] | undefined;
}

/** What {@link encodeFile} did. */
export interface EncodedFile extends EncodeReport {
  /** What the calibration file had for the modules; absent if none was given. */
  readonly calibration?: CalibrationUse;
  /**
   * The error of the change of the base weights, of the modules that are DoRA; `relativeError` is that of ΔW = multiplier · B · A,
   * to which such a module then gives a magnitude. Absent if there are none, or no base model was given.
   */
  readonly doraError?: DoraError;
  /** Hexadecimal base digest; absent if no base model was given. */
  readonly baseDigest?: string;
  /** The dialect it was read in. */
  readonly dialect: string;
  /** What the files left to the dialect, and what is not part of the maths: sentences. */
  readonly notes: readonly string[];
  /** Bytes of the source files: weights and configuration. */
  readonly inputBytes: number;
  /** Wall-clock time for reading, encoding and writing. */
  readonly seconds: number;
  /** Hexadecimal root digest (spec clause 11.2). */
  readonly fileId: string;
  /** Hexadecimal digest of what matters to the maths (spec clause 11.3). */
  readonly contentId: string;
}

/** Which modules a calibration file knows. */
export interface CalibrationUse {
  readonly file: string;
  /** How many modules it has figures of. */
  readonly matched: number;
  /** Modules that it has none of. */
  readonly missing: readonly string[];
  /** Names in the importance file that match no module. */
  readonly unmatched: readonly string[];
}

/**
 * Encodes an adapter into an `.lqa` file.
 *
 * @param input where the adapter is, as in `readSourceFiles`
 * @throws LqaError: NOT_FOUND, OUTPUT_EXISTS and IO for the paths; what the adapter and the options can cause is listed at
 * `readAdapter`, `readCalibration`, `baseDigest` and `encodeAdapter`; of the parent, those of its file. Nothing is written then.
 */
export async function encodeFile(
  input: string,
  output: string,
  options: EncodeFileOptions = {},
): Promise<EncodedFile> {
  await assertWritable(output, options);
  return await encodeFrom(
    () => openSourceFiles(input, options),
    (bytes) => writeFileAtomic(output, bytes, options),
    options,
  );
}

/**
 * Encodes an adapter from wherever its files are to wherever the result goes.
 *
 * @param write called once, with bytes that were read back and verified
 * @param bases of `options.base`, shared by many adapters. Default: opened for this one
 * @throws LqaError as {@link encodeFile}; whatever `open` and `write` throw
 * @internal
 */
export async function encodeFrom(
  open: () => Promise<OpenAdapterFiles>,
  write: (bytes: Uint8Array) => Promise<void>,
  options: EncodeFileOptions,
  bases?: BaseDigests,
): Promise<EncodedFile> {
  const started = performance.now();
  const source = await open();
  const own =
    bases === undefined && options.base !== undefined ? baseDigests(options.base, options.remote) : undefined;
  try {
    return await encodeSource(source, write, options, bases ?? own, started);
  } finally {
    await own?.close();
    source.close();
  }
}

async function encodeSource(
  { files }: OpenAdapterFiles,
  write: (bytes: Uint8Array) => Promise<void>,
  options: EncodeFileOptions,
  bases: BaseDigests | undefined,
  started: number,
): Promise<EncodedFile> {
  const { calibration: file, workers, base: _base, remote: _remote, parent: given, ...rest } = options;
  const parent = await parentOf(given, options);
  const notes: string[] = [];
  const onNote = (note: string): void => void notes.push(note);
  const source = readAdapter(files, { ...options, lazy: true, onNote });
  const digest = await bases?.of(source.modules, options.signal);
  const adapter =
    digest === undefined ? source : { ...source, meta: { ...source.meta, base_digest: digest } };
  const calibration =
    file === undefined
      ? undefined
      : readCalibration(await readWholeFile(file, options.signal), adapter.modules);
  const parameters = adapter.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  const { bytes, report } = await withExecutor(
    rest.executor,
    workers ?? suitableWorkers(parameters),
    (executor) => encodeAdapter(adapter, { ...rest, executor, parent, ...(calibration && { calibration }) }),
  );
  // What is written has been read back: the ids come from a reader that checked every checksum.
  const encoded = await open(bytes, { parents: parent && [parent] });
  const { fileId, contentId } = await encoded.verify();
  const dora = magnitudesOf(source).size;
  const changed =
    bases === undefined || dora === 0
      ? undefined
      : await doraError(
          source,
          await encoded.adapter({ signal: options.signal }),
          bases.weights(source.modules),
          options.signal,
        );
  if (dora > 0 && changed === undefined && report.relativeError > 0) {
    const why =
      bases === undefined ? "Give the base model with --base" : "A base weight in F32, F16 or BF16 is needed";
    onNote(
      `${dora === 1 ? "1 module is" : `${dora} modules are`} DoRA: the error is that of ΔW before the magnitude is applied. ${why} for the error of the change of its weights.`,
    );
  }
  await write(bytes);
  let inputBytes = 0;
  for (const file of files.values()) inputBytes += file.length;
  return {
    ...report,
    ...(digest !== undefined && { baseDigest: toHex(digest) }),
    ...(changed !== undefined && { doraError: changed }),
    ...(file !== undefined &&
      calibration !== undefined && { calibration: useOf(file, adapter.modules.length, calibration) }),
    dialect: adapter.origin?.dialect ?? "unknown",
    notes: summarizeNotes(notes),
    inputBytes,
    seconds: (performance.now() - started) / 1000,
    fileId,
    contentId,
  };
}

/** The parent, open. @throws LqaError as `openParent` */
export async function parentOf(
  parent: EncodeFileControls["parent"],
  options: LocationOptions,
): Promise<LqaFile | undefined> {
  if (parent === undefined || (typeof parent !== "string" && !Array.isArray(parent)))
    return parent as LqaFile;
  const locations = (typeof parent === "string" ? [parent] : parent) as readonly [string, ...string[]];
  return await openParent(locations, options);
}

/** Runs with the given executor, or with workers of its own. */
async function withExecutor<T>(
  given: Executor | undefined,
  workers: number,
  run: (executor: Executor) => Promise<T>,
): Promise<T> {
  return given === undefined ? await withWorkers(workers, run) : await run(given);
}

function useOf(
  file: string,
  modules: number,
  { missingModules, unmatchedTensors }: CalibrationFile,
): CalibrationUse {
  return {
    file,
    matched: modules - missingModules.length,
    missing: missingModules,
    unmatched: unmatchedTensors,
  };
}
