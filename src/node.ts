/**
 * The library on Node: everything of `index.ts`, and files by path.
 *
 * {@link encodeFile} and {@link decodeFile} go from path to path, with all that a program wants around that: outputs that
 * are whole or absent, nothing replaced unasked, an early error where the output has no place. The command line
 * is a thin layer over them.
 *
 * @module
 */
import {
  type ElementType,
  type EncodeOptions,
  type EncodeReport,
  encodeAdapter,
  type ImportanceFile,
  type LqaFile,
  openLqa,
  parameterCount,
  readAdapter,
  readImportance,
  type SourceFiles,
  type Validation,
  validateLqa,
  writeAdapter,
} from "./index.ts";
import { openSourceFiles } from "./io/adapter-files.ts";
import { readWholeFile } from "./io/file.ts";
import { assertReplaceable, writeDirectoryAtomic } from "./io/write-directory.ts";
import { assertWritable, type WriteOptions, writeFileAtomic } from "./io/write-file.ts";
import { suitableWorkers, withWorkers } from "./workers/pool.ts";

export { type OpenModel, openModel } from "./extract/open-model.ts";
export { type ExtractedFile, type ExtractFileOptions, extractFile } from "./extract-file.ts";
export * from "./index.ts";
export { readSourceFiles } from "./io/adapter-files.ts";
export {
  type FileReader,
  type FileSource,
  openFileReader,
  openFileSource,
  readWholeFile,
} from "./io/file.ts";
export { writeDirectoryAtomic } from "./io/write-directory.ts";
export { type WriteOptions, writeFileAtomic } from "./io/write-file.ts";
export {
  type DecodedAdapter,
  type DecodeWithWorkersOptions,
  decodeWithWorkers,
  type PlacedModule,
} from "./workers/decode.ts";
export { createWorkerPool, type WorkerPool } from "./workers/pool.ts";
export type { DecodeTask, PoolInput, PoolKind, PoolOutput, SharedTarget } from "./workers/tasks.ts";

/** How {@link encodeFile} encodes and writes. */
export interface EncodeFileOptions extends Omit<EncodeOptions, "importance" | "executor">, WriteOptions {
  /** Threads that encode, from 1 on. Default: one for each core, if the adapter is large enough. Never changes the bytes. */
  readonly workers?: number | undefined;
  /** Path of a file with second moments of the modules' inputs, see `readImportance`. */
  readonly importance?: string | undefined;
}

/** What {@link encodeFile} did. */
export interface EncodedFile extends EncodeReport {
  /** What the importance file had for the modules; absent if none was given. */
  readonly importance?: ImportanceUse;
  /** Bytes of the source files: weights and configuration. */
  readonly inputBytes: number;
  /** Wall-clock time for reading, encoding and writing. */
  readonly seconds: number;
  /** Hexadecimal root digest (spec clause 11.2). */
  readonly fileId: string;
  /** Hexadecimal digest of what matters to the maths (spec clause 11.3). */
  readonly contentId: string;
}

/** Which modules have moments. */
export interface ImportanceUse {
  readonly file: string;
  /** How many modules have moments. */
  readonly matched: number;
  /** Modules that have none. */
  readonly missing: readonly string[];
  /** Names in the file that stand for no module. */
  readonly unmatched: readonly string[];
}

/**
 * Encodes an adapter (a PEFT directory, or a `.safetensors` file) into an `.lqa` file.
 *
 * @throws LqaError: NOT_FOUND, OUTPUT_EXISTS and IO for the paths; what the adapter and the options can cause is listed at
 * `readAdapter`, `readImportance` and `encodeAdapter`. Nothing is written then.
 */
export async function encodeFile(
  input: string,
  output: string,
  options: EncodeFileOptions = {},
): Promise<EncodedFile> {
  const started = performance.now();
  await assertWritable(output, options);
  const source = await openSourceFiles(input, options.signal);
  try {
    return await encodeSource(source.files, output, options, started);
  } finally {
    source.close();
  }
}

async function encodeSource(
  files: SourceFiles,
  output: string,
  options: EncodeFileOptions,
  started: number,
): Promise<EncodedFile> {
  const adapter = readAdapter(files, { lazy: true });
  const { importance: file, workers, ...rest } = options;
  const importance =
    file === undefined
      ? undefined
      : readImportance(await readWholeFile(file, options.signal), adapter.modules);
  const parameters = adapter.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  const { bytes, report } = await withWorkers(workers ?? suitableWorkers(parameters), (executor) =>
    encodeAdapter(adapter, { ...rest, executor, ...(importance && { importance }) }),
  );
  // What is written has been read back: the ids come from a reader that checked every checksum.
  const { fileId, contentId } = await (await openLqa(bytes)).verify();
  await writeFileAtomic(output, bytes, options);
  let inputBytes = 0;
  for (const file of files.values()) inputBytes += file.length;
  return {
    ...report,
    ...(file !== undefined && importance !== undefined && { importance: useOf(file, importance) }),
    inputBytes,
    seconds: (performance.now() - started) / 1000,
    fileId,
    contentId,
  };
}

function useOf(file: string, { moments, missingModules, unmatchedTensors }: ImportanceFile): ImportanceUse {
  return { file, matched: moments.size, missing: missingModules, unmatched: unmatchedTensors };
}

/** How {@link decodeFile} writes. */
export interface DecodeFileOptions extends WriteOptions {
  /** Element type of the factors. Default `source`: what they had before encoding. */
  readonly dtype?: "source" | Extract<ElementType, "F32" | "F16" | "BF16"> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What {@link decodeFile} did. */
export interface DecodedFile {
  readonly file: LqaFile;
  /** Hexadecimal root digest and content digest (spec clauses 11.2 and 11.3), both checked. */
  readonly fileId: string;
  readonly contentId: string;
  /** Sizes of the files written, by name. */
  readonly written: ReadonlyMap<string, number>;
  readonly inputBytes: number;
  readonly seconds: number;
}

/**
 * Decodes an `.lqa` file, by path or in memory, into an adapter directory of the dialect it came from.
 *
 * The file is validated first, values included: what is written is never the decoding of a broken file.
 *
 * @throws LqaError: NOT_FOUND, OUTPUT_EXISTS and IO for the paths; what a broken file can cause is listed at `openLqa` and
 * `validateLqa`; UNSUPPORTED_DIALECT and SOURCE_RANGE from `writeAdapter`. Nothing is written then.
 */
export async function decodeFile(
  input: string | Uint8Array,
  output: string,
  options: DecodeFileOptions = {},
): Promise<DecodedFile> {
  const started = performance.now();
  await assertReplaceable(output, options);
  const bytes = typeof input === "string" ? await readWholeFile(input, options.signal) : input;
  const ids = idsOf(await validateLqa(bytes));
  const file = await openLqa(bytes);
  const files = writeAdapter(await file.readAdapter(), { factors: options.dtype ?? "source" });
  await writeDirectoryAtomic(output, files, options);
  const written = new Map([...files].map(([name, contents]) => [name, contents.length]));
  return { file, ...ids, written, inputBytes: bytes.length, seconds: (performance.now() - started) / 1000 };
}

function idsOf({ error, ids }: Validation): { fileId: string; contentId: string } {
  if (error !== undefined) throw error;
  if (ids === undefined) throw new TypeError("a file was validated without its ids");
  return ids;
}
