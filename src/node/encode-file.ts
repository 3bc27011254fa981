/**
 * Encodes an adapter, path to path (Node only). The output is whole or absent, and replaces an existing file only with `force`.
 * If the output cannot be written, the error comes before the work.
 *
 * @module
 */

import { type CalibrationFile, readCalibration } from "../adapters/calibration/index.ts";
import type { DialectName, ReadSettings } from "../adapters/dialect.ts";
import { readAdapter } from "../adapters/read-write.ts";
import { toHex } from "../common/bytes.ts";
import { open } from "../core/read/file.ts";
import type { LqaFile } from "../core/read/lqa-file.ts";
import { type EncodeControls, encodeAdapter } from "../encode/encode.ts";
import type { QuantizeOptions } from "../encode/quantize/profile.ts";
import type { Executor } from "../encode/quantize/tasks.ts";
import type { EncodeReport } from "../encode/report.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type Adapter, parameterCount } from "../model/adapter.ts";
import { type LocationOptions, openSourceFiles } from "./adapter-source.ts";
import { type BaseDigests, baseDigests } from "./base-digest.ts";
import { summarizeNotes } from "./convert-file.ts";
import { type DoraError, doraError, magnitudesOf } from "./dora-error.ts";
import type { OpenAdapterFiles } from "./files/adapter-files.ts";
import { readWholeFile } from "./files/file.ts";
import { assertReplaceable, writeDirectoryAtomic } from "./files/write-directory.ts";
import { assertWritable, type OutputOptions, writeFileAtomic } from "./files/write-file.ts";
import { openParent } from "./open-parents.ts";
import { LAYOUT_FILES, layoutConfig, layoutFiles } from "./peft-layout.ts";
import { readValidAdapter } from "./read-valid.ts";
import { suitableWorkers, withWorkers } from "./workers/pool.ts";

/** Options of {@link encodeFile}. */
export type EncodeFileOptions = QuantizeOptions & EncodeFileControls;

/** The options that do not depend on the profile. */
export interface EncodeFileControls
  extends Omit<EncodeControls, "calibration" | "parent">,
    OutputOptions,
    Omit<LocationOptions, "signal">,
    Omit<ReadSettings, "onNote"> {
  /** The dialect of the adapter. Default: detected from the files. */
  readonly from?: DialectName | undefined;
  /** Number of threads. Default: one per core for a large adapter, fewer for others. Does not change the bytes. */
  readonly workers?: number | undefined;
  /**
   * Location of the base model, see `baseDigest`. The encoder writes the digest of the adapted weights into META (spec clause
   * 10.6), so that a reader notices another model with the same shapes.
   */
  readonly base?: string | undefined;
  /** Path of a calibration file, see `readCalibration`. */
  readonly calibration?: string | undefined;
  /**
   * The parent, see `EncodeControls`: its location, as in `readLocation`, followed by the locations of its own parents; or the
   * file, opened with its parents.
   */
  readonly parent?: LqaFile | string | readonly [string, ...string[]] | undefined;
  /**
   * `peft`: the output is a directory with `adapter_config.json` and `adapter_model.lqa`, by which programs recognize an adapter
   * (docs/peft-layout.md). Default `file`: one `.lqa` file.
   */
  readonly layout?: "file" | "peft" | undefined;
}

/** The result of {@link encodeFile}. */
export interface EncodedFile extends EncodeReport {
  /** Use of the calibration file; absent without one. */
  readonly calibration?: CalibrationUse;
  /**
   * The error of the change that DoRA modules make to the base weights. (`relativeError` is that of ΔW = multiplier · B · A,
   * before the magnitude applies.) Absent without DoRA modules or without a base model.
   */
  readonly doraError?: DoraError;
  /** Hexadecimal base digest; absent without a base model. */
  readonly baseDigest?: string;
  /** The dialect in which the adapter was read. */
  readonly dialect: string;
  /** Sentences about decisions that the files left open, and about tensors that do not take part in the maths. */
  readonly notes: readonly string[];
  /** Bytes of the source files: weights and configuration. */
  readonly inputBytes: number;
  /** Wall-clock time for reading, encoding and writing. */
  readonly seconds: number;
  /** Hexadecimal root digest (spec clause 11.2). */
  readonly fileId: string;
  /** Hexadecimal content digest: of everything that matters to the maths (spec clause 11.3). */
  readonly contentId: string;
}

/** The modules that a calibration file covers. */
export interface CalibrationUse {
  readonly file: string;
  /** Number of modules that the file covers. */
  readonly matched: number;
  /** Modules that the file does not cover. */
  readonly missing: readonly string[];
  /** Names in the calibration file that match no module. */
  readonly unmatched: readonly string[];
}

/**
 * Encodes an adapter into an `.lqa` file, or a directory with one.
 *
 * @param input location of the adapter, as in `readSourceFiles`
 * @throws LqaError NOT_FOUND, OUTPUT_EXISTS and IO for the paths; the errors of adapter and options that `readAdapter`,
 * `readCalibration`, `baseDigest` and `encodeAdapter` list; the errors of the parent's file; with the layout `peft` USAGE if there
 * is a parent, UNSUPPORTED_DIALECT if PEFT cannot express the adapter. Then nothing is written.
 */
export async function encodeFile(
  input: string,
  output: string,
  options: EncodeFileOptions = {},
): Promise<EncodedFile> {
  const open = (): Promise<OpenAdapterFiles> => openSourceFiles(input, options);
  if (options.layout !== "peft") {
    await assertWritable(output, options);
    return await encodeFrom(open, (bytes) => writeFileAtomic(output, bytes, options), options);
  }
  if (options.parent !== undefined)
    fail(KIND.USAGE, {
      where: "layout",
      expected: "a file without a parent in the layout peft",
      actual: "a parent",
      advice: "Programs that load the directory have no parent for it: leave out one of the two.",
    });
  await assertReplaceable(output, options, LAYOUT_FILES);
  const write = async (bytes: Uint8Array): Promise<void> => {
    const { adapter } = await readValidAdapter(bytes);
    await writeDirectoryAtomic(output, layoutFiles(bytes, adapter), options);
  };
  return await encodeFrom(open, write, options);
}

/**
 * Encodes an adapter from any source to any target.
 *
 * @param write called once, with bytes that were read back and verified
 * @param bases base digests of `options.base`, to share among many adapters. Default: new ones
 * @throws LqaError as {@link encodeFile}; what `open` and `write` throw
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
  const {
    calibration: file,
    workers,
    base: _base,
    remote: _remote,
    parent: given,
    layout,
    ...rest
  } = options;
  const parent = await parentOf(given, options);
  const notes: string[] = [];
  const onNote = (note: string): void => void notes.push(note);
  const source = readAdapter(files, { ...options, lazy: true, onNote });
  // An adapter that PEFT cannot express is refused before it is encoded.
  if (layout === "peft") layoutConfig(source);
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
  // Reads back the bytes before they are written: the ids come from a reader that checks every checksum.
  const encoded = await open(bytes, { parents: parent && [parent] });
  const { fileId, contentId } = await encoded.verify();
  const changed = await errorOfDora(source, encoded, bases, options.signal);
  if (changed === undefined && report.relativeError > 0) noteDora(source, bases !== undefined, onNote);
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

/** The error of the change of the DoRA modules' weights; undefined without such modules or their base weights. */
async function errorOfDora(
  source: Adapter,
  encoded: LqaFile,
  bases: BaseDigests | undefined,
  signal: AbortSignal | undefined,
): Promise<DoraError | undefined> {
  if (bases === undefined || magnitudesOf(source).size === 0) return undefined;
  return await doraError(source, await encoded.adapter({ signal }), bases.weights(source.modules), signal);
}

/** Says of an adapter with DoRA modules which error the report has instead. */
function noteDora(source: Adapter, hasBase: boolean, onNote: (note: string) => void): void {
  const dora = magnitudesOf(source).size;
  if (dora === 0) return;
  const why = hasBase ? "A base weight in F32, F16 or BF16 is needed" : "Give the base model with --base";
  onNote(
    `${dora === 1 ? "1 module is" : `${dora} modules are`} DoRA: the error is that of ΔW before the magnitude is applied. ${why} for the error of the change of its weights.`,
  );
}

/** Opens the parent. @throws LqaError as `openParent` */
export async function parentOf(
  parent: EncodeFileControls["parent"],
  options: LocationOptions,
): Promise<LqaFile | undefined> {
  if (parent === undefined || (typeof parent !== "string" && !Array.isArray(parent)))
    return parent as LqaFile;
  const locations = (typeof parent === "string" ? [parent] : parent) as readonly [string, ...string[]];
  return await openParent(locations, options);
}

/** Runs with the caller's executor, or with new workers. */
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
