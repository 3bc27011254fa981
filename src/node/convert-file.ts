/**
 * Converts an adapter from one dialect to another, path to path (Node only), without quantization.
 *
 * @module
 */
import type { ConfigRisk } from "../adapters/config-risks.ts";
import type { DialectName, ReadSettings, WriteOptions } from "../adapters/dialect.ts";
import { type BaseDescription, baseFromConfig, baseFromGguf } from "../adapters/naming/base-description.ts";
import { adapterContent, readAdapter } from "../adapters/read-write.ts";

import { createRoundingMeter, type Rounding } from "../adapters/rounding.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import type { Adapter, ModuleShape } from "../model/adapter.ts";
import { type LocationOptions, openSourceFiles } from "./adapter-source.ts";
import type { OutputOptions } from "./files/write-file.ts";
import { assertOutput, writeOutput } from "./files/write-output.ts";
import { openModelFolder } from "./model-folder.ts";

export type { BaseDescription } from "../adapters/naming/base-description.ts";
export type { Rounding } from "../adapters/rounding.ts";

/** How to write an adapter to a path. */
export interface TargetOptions extends OutputOptions, LocationOptions {
  /** The dialect to write. Default: the one whose files end like the output (`.gguf`, `.onnx_adapter`), if any. */
  readonly to?: DialectName | undefined;
  /** Element type of the factors. Default `source`: the types that they had in the source, or F32 if these are unknown. */
  readonly dtype?: WriteOptions["factors"] | undefined;
  /** The base model, required for GGUF. See `readBaseDescription`. */
  readonly base?: BaseDescription | undefined;
  /** Refuses modules that do not fit the base model; called with the names of its layers. @internal */
  readonly checkBase?: ((modules: readonly ModuleShape[]) => void) | undefined;
  /** Writes an adapter that every server computes in the same way: see `WriteOptions`. */
  readonly portable?: boolean | undefined;
  /** Writes the configuration of the source as it is, with its risky fields: see `WriteOptions`. Default false. */
  readonly keepConfig?: boolean | undefined;
}

/** Options of {@link convertFile}. Default of `to`: the dialect that the output ends like, else PEFT. */
export interface ConvertFileOptions extends Omit<ReadSettings, "onNote">, TargetOptions {
  /** The dialect of the source. Default: detected from the files. */
  readonly from?: DialectName | undefined;
}

/** The result of {@link convertFile}. */
export interface ConvertedFile {
  readonly from: string;
  readonly to: DialectName;
  readonly modules: number;
  readonly tensors: number;
  /** Sizes of the written files in bytes, by name. */
  readonly written: ReadonlyMap<string, number>;
  readonly notes: readonly string[];
  /** Fields of the source's configuration that are a risk for who loads it. They are not written, unless `keepConfig` is true. */
  readonly configRisks: readonly ConfigRisk[];
  /** The effect of rounding the factors to their element types; absent if it changed nothing. */
  readonly rounding?: Rounding;
  readonly inputBytes: number;
  readonly seconds: number;
}

/**
 * Converts an adapter.
 *
 * @param input location of the adapter, as in `readSourceFiles`
 * @param output a directory, or a file if the path has a file extension
 * @throws LqaError as `readAdapter` and `writeAdapter`; NOT_FOUND, OUTPUT_EXISTS and IO for the paths. Then nothing is
 * written.
 */
export async function convertFile(
  input: string,
  output: string,
  options: ConvertFileOptions = {},
): Promise<ConvertedFile> {
  const started = performance.now();
  await assertOutput(output, options);
  const source = await openSourceFiles(input, options);
  try {
    const notes: string[] = [];
    const onNote = (note: string): void => void notes.push(note);
    const to = options.to ?? impliedDialect(output) ?? "peft";
    const adapter = readAdapter(source.files, { ...options, lazy: true, onNote });
    const target = await writeTarget(adapter, output, { ...options, to }, notes);
    let inputBytes = 0;
    for (const file of source.files.values()) inputBytes += file.length;
    return {
      from: adapter.origin?.dialect ?? "unknown",
      to,
      modules: adapter.modules.length,
      tensors: adapter.tensors.length,
      ...target,
      inputBytes,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    source.close();
  }
}

/**
 * Writes an adapter to a directory, or to a file if the path has a file extension.
 *
 * @param notes notes of the reader
 * @returns sizes by name, all notes, and the effect of rounding
 * @throws LqaError as `writeAdapter`; USAGE, OUTPUT_EXISTS and IO for the path
 * @internal
 */
export async function writeTarget(
  adapter: Adapter,
  output: string,
  {
    dtype = "source",
    to = impliedDialect(output),
    base,
    checkBase,
    portable,
    keepConfig,
    force,
  }: TargetOptions,
  notes: readonly string[],
): Promise<Pick<ConvertedFile, "written" | "notes" | "configRisks" | "rounding">> {
  const all = [...notes];
  const onNote = (note: string): void => void all.push(note);
  const configRisks: ConfigRisk[] = [];
  const meter = createRoundingMeter();
  const files = adapterContent(adapter, {
    factors: dtype,
    to,
    base,
    checkBase,
    portable,
    keepConfig,
    onNote,
    onConfigRisk: (risk) => void configRisks.push(risk),
    onRounded: meter.onRounded,
  });
  const written = await writeOutput(output, files, { force });
  const rounding = meter.result();
  return { written, notes: summarizeNotes(all), configRisks, ...(rounding && { rounding }) };
}

/** The only dialect whose files end like this path; undefined if there is none. */
function impliedDialect(output: string): DialectName | undefined {
  return output.endsWith(".gguf") ? "gguf" : output.endsWith(".onnx_adapter") ? "onnx" : undefined;
}

/** First read of a GGUF file, in bytes; {@link MAX_READ} limits the reads for large vocabularies. */
const FIRST_READ = 1 << 20;
const MAX_READ = 1 << 28;

/**
 * Reads the description of a base model from its `config.json` (or the directory that holds it) or its GGUF file. From a GGUF
 * file on a server it fetches only the beginning.
 *
 * @throws LqaError as `openModelFolder`; BUDGET for a configuration above 4 MiB or GGUF metadata above 256 MiB; as
 * `baseFromConfig` and `baseFromGguf`
 */
export async function readBaseDescription(
  location: string,
  options: LocationOptions = {},
): Promise<BaseDescription> {
  const folder = await openModelFolder(location, options);
  const { file = "config.json", where } = folder;
  if (file.endsWith(".json")) return baseFromConfig(await folder.read(file));
  const source = await folder.open(file);
  try {
    for (let length = FIRST_READ; ; length *= 4) {
      const bytes = await source.read(0, length, options.signal);
      try {
        return baseFromGguf(bytes);
      } catch (error) {
        if (!isLqaError(error, "TRUNCATED_SOURCE") || bytes.length < length) throw error;
        if (length >= MAX_READ)
          fail(KIND.BUDGET, {
            where,
            expected: `metadata of at most ${MAX_READ} bytes`,
            actual: "more",
            advice: "Check that the file is a base model in GGUF.",
          });
      }
    }
  } finally {
    await source.close();
  }
}

/** Most notes of a report. */
const MOST_NOTES = 8;

/** Removes repeated notes, and replaces the end of a long list by its number. */
export function summarizeNotes(notes: readonly string[]): string[] {
  const different = [...new Set(notes)];
  if (different.length <= MOST_NOTES) return different;
  return [...different.slice(0, MOST_NOTES - 1), `And ${different.length - MOST_NOTES + 1} more.`];
}
