/**
 * An adapter merged into its base model, path to path (Node only).
 *
 * The model is read and written tensor by tensor: what is in memory is one weight and the adapter. Files keep their
 * names, headers and element types; an index of shards is copied.
 *
 * @module
 */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { headerBytes } from "./dialects/safetensors-header.ts";
import { fail } from "./errors.ts";
import { readModel, type StoredTensor } from "./extract/model.ts";
import { openModel } from "./extract/open-model.ts";
import { quotePath } from "./io/os-error.ts";
import type { ByteSource } from "./io/source.ts";
import { assertReplaceable, fillDirectoryAtomic } from "./io/write-directory.ts";
import { writeSynced } from "./io/write-file.ts";
import { type Job, planMerge } from "./merge/plan.ts";
import type { Adapter } from "./model/adapter.ts";

/** Bytes copied at once. */
const PIECE = 8 * 1024 * 1024;

/** How {@link mergeFile} writes. */
export interface MergeFileOptions {
  /** Called after each tensor. */
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What {@link mergeFile} did. */
export interface MergedModel {
  /** Sizes of the files written, by name. */
  readonly written: ReadonlyMap<string, number>;
  /** Tensors that changed, of all. */
  readonly changed: number;
  readonly tensors: number;
  readonly seconds: number;
}

/**
 * Writes the merged model into a new directory.
 *
 * @param base the model: a safetensors file, the index of its shards, or a directory that holds either
 * @param output a directory that is absent or empty; an existing model is never replaced
 * @throws LqaError BASE_MODULE_MISSING and BASE_SHAPE if the adapter does not fit; SOURCE_RANGE if a weight leaves the
 * range of the base's element type; OUTPUT_EXISTS, NOT_FOUND, IO; what a broken model can cause is listed at `readModel`.
 * Nothing stays behind then.
 */
export async function mergeFile(
  adapter: Adapter,
  base: string,
  output: string,
  options: MergeFileOptions = {},
): Promise<MergedModel> {
  const started = performance.now();
  await assertReplaceable(output);
  const opened = await openModel(base, options.signal);
  try {
    const model = await readModel(opened, "base model", options.signal);
    const jobs = planMerge(adapter, model);
    const written = new Map<string, number>();
    let done = 0;
    const progress = (name: string): void => options.onProgress?.(++done, model.size, name);
    await fillDirectoryAtomic(output, async (folder) => {
      for (const [name, source] of opened.files) {
        const tensors = [...model.values()].filter((tensor) => tensor.source === source);
        written.set(
          name,
          await writeShard(join(folder, name), source, tensors, jobs, progress, options.signal),
        );
      }
      if (opened.index === undefined || opened.indexName === undefined) return;
      await writeSynced(join(folder, opened.indexName), opened.index);
      written.set(opened.indexName, opened.index.length);
    });
    return {
      written,
      changed: jobs.size,
      tensors: model.size,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await opened.close();
  }
}

/** Header as it is, tensors in the order of their places. @returns bytes written */
async function writeShard(
  path: string,
  source: ByteSource,
  tensors: readonly StoredTensor[],
  jobs: ReadonlyMap<string, Job>,
  progress: (name: string) => void,
  signal: AbortSignal | undefined,
): Promise<number> {
  const handle = await open(path, "wx");
  let at = 0;
  const write = async (bytes: Uint8Array): Promise<void> => {
    for (let from = 0; from < bytes.length; ) {
      from += (await handle.write(bytes, from, Math.min(PIECE, bytes.length - from), at + from)).bytesWritten;
    }
    at += bytes.length;
  };
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const bytes = await source.read(offset, length, signal);
    if (bytes.length === length) return bytes;
    return fail("TRUNCATED_SOURCE", {
      where: quotePath(path),
      expected: `${length} bytes`,
      actual: bytes.length,
      offset,
    });
  };
  try {
    await write(await read(0, headerBytes(await read(0, 8))));
    for (const tensor of [...tensors].sort((x, y) => x.offset - y.offset)) {
      const job = jobs.get(tensor.name);
      if (job !== undefined) await write(job(await read(tensor.offset, tensor.length)));
      else {
        for (let done = 0; done < tensor.length; done += PIECE) {
          await write(await read(tensor.offset + done, Math.min(PIECE, tensor.length - done)));
        }
      }
      progress(tensor.name);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return at;
}
