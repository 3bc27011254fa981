/**
 * Extracts an adapter, path to path (Node only): two models in, an adapter directory or an `.lqa` file out.
 *
 * @module
 */

import { adapterContent } from "../adapters/read-write.ts";
import { open } from "../core/read/file.ts";
import { type EncodeControls, type EncodeReport, encodeAdapter } from "../encode/encode.ts";
import { type QuantizeOptions, resolveOptions } from "../encode/quantize/profile.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { Adapter, ElementType } from "../model/adapter.ts";
import {
  checkExtractOptions,
  type ExtractOptions,
  type ExtractReport,
  extractAdapter,
} from "../models/extract/extract.ts";
import { assertReplaceable } from "./files/write-directory.ts";
import { assertWritable, type OutputOptions, writeFileAtomic } from "./files/write-file.ts";
import { writeContents } from "./files/write-output.ts";
import { assertLocalModel } from "./model-folder.ts";
import { type OpenModel, openModel } from "./open-model.ts";
import { suitableWorkers, withWorkers } from "./workers/pool.ts";

/** Options of {@link extractFile}. */
export interface ExtractFileOptions extends ExtractOptions, OutputOptions {
  /** Element type of the factors in a directory. Default F32. Shares refer to the factors before rounding. */
  readonly dtype?: Extract<ElementType, "F32" | "F16" | "BF16"> | undefined;
  /** How to encode an `.lqa` file. */
  readonly encode?:
    | (QuantizeOptions & Omit<EncodeControls, "onProgress" | "signal" | "executor">)
    | undefined;
}

/** The result of {@link extractFile}. */
export interface ExtractedFile extends ExtractReport {
  /** Sizes of the written files in bytes, by name (for an `.lqa` file, by path). */
  readonly written: ReadonlyMap<string, number>;
  /** Size and error of the encoding, for an `.lqa` file. */
  readonly encoded: EncodeReport | undefined;
  /** Total size of all files of both models. */
  readonly inputBytes: number;
  /** Wall-clock time of the whole call. */
  readonly seconds: number;
}

/**
 * Extracts an adapter from a fine-tuned model.
 *
 * @param base the model before: a safetensors file, the index of its shards, or a directory that holds either
 * @param tuned the model after
 * @param output an `.lqa` file if the name ends in `.lqa`; otherwise a PEFT directory
 * @throws LqaError OUTPUT_EXISTS, NOT_FOUND and IO for the paths; the errors of the models that `extractAdapter` lists;
 * UNSUPPORTED_DIALECT if PEFT cannot express the adapter; for an `.lqa` file as `encodeAdapter`. Then nothing is
 * written.
 */
export async function extractFile(
  base: string,
  tuned: string,
  output: string,
  options: ExtractFileOptions = {},
): Promise<ExtractedFile> {
  const started = performance.now();
  const packed = output.endsWith(".lqa");
  checkOutput(packed, options);
  for (const model of [base, tuned]) assertLocalModel(model, "a model to extract from");
  await (packed ? assertWritable(output, options) : assertReplaceable(output, options));
  const models: OpenModel[] = [];
  try {
    // One after the other: if the second cannot be opened, the first is closed.
    models.push(await openModel(base, options));
    models.push(await openModel(tuned, options));
    const [before, after] = models as [OpenModel, OpenModel];
    const { adapter, report } = await extractAdapter(before, after, options);
    const { written, encoded } = await (packed
      ? writeLqa(adapter, output, options)
      : writeDirectory(adapter, output, options));
    const inputBytes = before.bytes + after.bytes;
    return { ...report, written, encoded, inputBytes, seconds: (performance.now() - started) / 1000 };
  } finally {
    for (const model of models) await model.close();
  }
}

/** Refuses contradictory options before anything is opened. @throws LqaError USAGE */
function checkOutput(packed: boolean, options: ExtractFileOptions): void {
  checkExtractOptions(options);
  if (packed) {
    resolveOptions(options.encode ?? {});
    if (options.dtype !== undefined) {
      fail(KIND.USAGE, { where: "dtype", expected: "a directory as output", actual: "an .lqa file" });
    }
  } else if (Object.values(options.encode ?? {}).some((value) => value !== undefined)) {
    fail(KIND.USAGE, {
      where: "encoder options",
      expected: "an output that ends in .lqa",
      actual: "a directory",
    });
  }
}

type Written = Pick<ExtractedFile, "written" | "encoded">;

async function writeLqa(adapter: Adapter, output: string, options: ExtractFileOptions): Promise<Written> {
  const workers = suitableWorkers(adapter.modules.reduce((sum, { a, b }) => sum + a.length + b.length, 0));
  const { bytes, report } = await withWorkers(workers, (executor) =>
    encodeAdapter(adapter, {
      ...options.encode,
      executor,
      ...(options.onProgress && { onProgress: options.onProgress }),
      ...(options.signal && { signal: options.signal }),
    }),
  );
  // Reads back the bytes before they are written, as in encodeFile.
  await (await open(bytes)).verify();
  await writeFileAtomic(output, bytes, options);
  return { written: new Map([[output, bytes.length]]), encoded: report };
}

async function writeDirectory(
  adapter: Adapter,
  output: string,
  options: ExtractFileOptions,
): Promise<Written> {
  const files = adapterContent(adapter, { factors: options.dtype ?? "F32" });
  await writeContents(output, files, options);
  return {
    written: new Map([...files].map(([name, contents]) => [name, contents.length])),
    encoded: undefined,
  };
}
