/**
 * The library on Node: everything of `index.ts`, and files by path.
 *
 * {@link encodeFile} and {@link decodeFile} go from path to path, with all that a program wants around that: outputs that
 * are whole or absent, nothing replaced unasked, an early error where the output has no place. The command line
 * is a thin layer over them.
 *
 * @module
 */

import { type BaseDescription, summarizeNotes } from "./convert-file.ts";
import type { DialectName } from "./dialects/dialect.ts";
import { type ElementType, type LqaFile, openLqa, writeAdapter } from "./index.ts";
import type { WriteOptions } from "./io/write-file.ts";
import { assertOutput, writeOutput } from "./io/write-output.ts";
import { readValid } from "./read-valid.ts";

export {
  type BaseDescription,
  type ConvertedFile,
  type ConvertFileOptions,
  convertFile,
  readBaseDescription,
} from "./convert-file.ts";
export { type EncodedFile, type EncodeFileOptions, encodeFile, type ImportanceUse } from "./encode-file.ts";
export { type EncodedItem, type EncodeManyOptions, encodeMany } from "./encode-many.ts";
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
export { type MergedModel, type MergeFileOptions, mergeFile } from "./merge-file.ts";
export { directoryStore } from "./serve/directory-store.ts";
export {
  type DecodedAdapter,
  type DecodeWithWorkersOptions,
  decodeWithWorkers,
  type PlacedModule,
} from "./workers/decode.ts";
export { createWorkerPool, type WorkerPool } from "./workers/pool.ts";
export type { DecodeTask, PoolInput, PoolKind, PoolOutput, SharedTarget } from "./workers/tasks.ts";

/** How {@link decodeFile} writes. */
export interface DecodeFileOptions extends WriteOptions {
  /** The dialect to write. Default: the one the adapter came from. */
  readonly to?: DialectName | undefined;
  /** What is known of the base model; GGUF needs it. See `readBaseDescription`. */
  readonly base?: BaseDescription | undefined;
  /** Only what every server computes alike: see `WriteOptions`. */
  readonly portable?: boolean | undefined;
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
  /** What the dialect says in another way or not at all: sentences. */
  readonly notes: readonly string[];
  readonly inputBytes: number;
  readonly seconds: number;
}

/**
 * Decodes an `.lqa` file, by path or in memory, into an adapter of the dialect it came from, or of another one.
 *
 * The output is a directory, or, with the ending of a file of weights, that one file.
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
  await assertOutput(output, options);
  const { bytes, ids } = await readValid(input, options);
  const file = await openLqa(bytes);
  const notes: string[] = [];
  const files = writeAdapter(await file.readAdapter(), {
    factors: options.dtype ?? "source",
    to: options.to,
    base: options.base,
    portable: options.portable,
    onNote: (note) => void notes.push(note),
  });
  const written = await writeOutput(output, files, options);
  const seconds = (performance.now() - started) / 1000;
  return { file, ...ids, written, notes: summarizeNotes(notes), inputBytes: bytes.length, seconds };
}
