/**
 * Extraction from path to path (Node only): two models in, an adapter directory or an `.lqa` file out.
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

/** How {@link extractFile} extracts and writes. */
export interface ExtractFileOptions extends ExtractOptions, OutputOptions {
  /** Element type of the factors in a directory. Default F32. Shares are those before the rounding. */
  readonly dtype?: Extract<ElementType, "F32" | "F16" | "BF16"> | undefined;
  /** How to encode an `.lqa` file. */
  readonly encode?:
    | (QuantizeOptions & Omit<EncodeControls, "onProgress" | "signal" | "executor">)
    | undefined;
}

/** What {@link extractFile} did. */
export interface ExtractedFile extends ExtractReport {
  /** Sizes of the files written, by name (of an `.lqa` file, the path). */
  readonly written: ReadonlyMap<string, number>;
  /** What encoding cost and lost, for an `.lqa` file. */
  readonly encoded: EncodeReport | undefined;
  /** Bytes of the models: all files of both. */
  readonly inputBytes: number;
  /** Wall-clock time for everything. */
  readonly seconds: number;
}

/**
 * Extracts an adapter from a fine-tuned model.
 *
 * @param base the model before: a safetensors file, the index of its shards, or a directory that holds either
 * @param tuned the model after
 * @param output an `.lqa` file if the name ends so; otherwise a PEFT directory
 * @throws LqaError OUTPUT_EXISTS, NOT_FOUND and IO for the paths; what the models can cause is listed at
 * `extractAdapter`; UNSUPPORTED_DIALECT if PEFT cannot say what was extracted; for an `.lqa` file those of
 * `encodeAdapter`. Nothing is written then.
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
    models.push(await openModel(base, options), await openModel(tuned, options));
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

/** What the options cannot be, before anything is opened. */
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
  // Read back before it is written, as in encodeFile.
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
