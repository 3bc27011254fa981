/**
 * Merges an adapter into its base model, path to path (Node only).
 *
 * The model is read and written tensor by tensor: memory holds one weight and the adapter. Files keep their names, headers and
 * element types; an index of shards is copied. In a diffusion pipeline each component that the adapter changes is such a model,
 * in a folder with the component's name.
 *
 * @module
 */
import { join } from "node:path";
import { splitComponents } from "../adapters/naming/components.ts";
import { headerBytes } from "../adapters/safetensors-header.ts";
import type { ByteSource } from "../core/io/source.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { Adapter } from "../model/adapter.ts";
import { readModel, type StoredTensor } from "../models/extract/model.ts";
import { type Job, planMerge } from "../models/merge/plan.ts";
import { checkBaseDigest } from "./base-digest.ts";
import { isRegularFile } from "./files/file.ts";
import { quotePath } from "./files/os-error.ts";
import { assertReplaceable, fillDirectoryAtomic, type NewFolder } from "./files/write-directory.ts";
import { assertLocalModel } from "./model-folder.ts";
import { type OpenModel, openModel } from "./open-model.ts";

/** Bytes per copied piece. */
const PIECE = 8 * 1024 * 1024;

/** Options of {@link mergeFile}. */
export interface MergeFileOptions {
  /** Merges even if the base model does not have the weights whose digest is in the adapter's META. Default false. */
  readonly anyBase?: boolean | undefined;
  /** Called after each tensor. */
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The result of {@link mergeFile}. */
export interface MergedModel {
  /** Sizes of the written files in bytes, by name. */
  readonly written: ReadonlyMap<string, number>;
  /** Number of changed tensors; `tensors`: of all tensors. */
  readonly changed: number;
  readonly tensors: number;
  readonly seconds: number;
}

/** An open model that an adapter changes. `name`: its folder in the pipeline; empty without a pipeline. */
interface Part {
  readonly name: string;
  readonly opened: OpenModel;
  readonly tensors: readonly StoredTensor[];
  readonly jobs: ReadonlyMap<string, Job>;
}

/**
 * Writes the merged model into a new directory.
 *
 * @param base the model: a safetensors file, the index of its shards, or a directory that holds either; or the directory of
 * a diffusion pipeline with `model_index.json`, of which only the changed components are written
 * @param output a directory that is absent or empty; an existing model is never replaced
 * @throws LqaError BASE_MODULE_MISSING and BASE_SHAPE if the adapter does not fit; BASE_WEIGHTS if it has the digest of other
 * weights; SOURCE_RANGE if a weight leaves the range of the base's element type; OUTPUT_EXISTS, NOT_FOUND, IO; the errors of a
 * broken model that `readModel` lists. Then nothing is left behind.
 */
export async function mergeFile(
  adapter: Adapter,
  base: string,
  output: string,
  options: MergeFileOptions = {},
): Promise<MergedModel> {
  const started = performance.now();
  assertLocalModel(base, "the base model of a merge");
  await assertReplaceable(output);
  if (options.anyBase !== true) await checkBaseDigest(adapter.meta, adapter.modules, base, options);
  const parts: Part[] = [];
  try {
    for (const [name, part] of await componentsOf(adapter, base)) {
      const opened = await openModel(join(base, name), options);
      const place = { name, opened, tensors: [], jobs: new Map() };
      // In the list before its header is read, so that it is closed if that fails.
      const at = parts.push(place) - 1;
      const model = await readModel(opened, "base model", options.signal);
      parts[at] = { ...place, tensors: [...model.values()], jobs: planMerge(part, model) };
    }
    const total = parts.reduce((sum, { tensors }) => sum + tensors.length, 0);
    const written = new Map<string, number>();
    let done = 0;
    const progress = (name: string): void => options.onProgress?.(++done, total, name);
    await fillDirectoryAtomic(output, async (folder) => {
      for (const part of parts) {
        const sizes = await writeModel(folder, part, progress, options.signal);
        for (const [name, size] of sizes) written.set(part.name === "" ? name : `${part.name}/${name}`, size);
      }
    });
    return {
      written,
      changed: parts.reduce((sum, { jobs }) => sum + jobs.size, 0),
      tensors: total,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    for (const { opened } of parts) await opened.close();
  }
}

/** The adapter of each folder of a pipeline, or the whole adapter. */
async function componentsOf(adapter: Adapter, base: string): Promise<Iterable<[string, Adapter]>> {
  return (await isRegularFile(join(base, "model_index.json"))) ? splitComponents(adapter) : [["", adapter]];
}

async function writeModel(
  folder: NewFolder,
  { name: place, opened, tensors, jobs }: Part,
  progress: (name: string) => void,
  signal: AbortSignal | undefined,
): Promise<Map<string, number>> {
  const written = new Map<string, number>();
  for (const [name, source] of opened.files) {
    const own = tensors.filter((tensor) => tensor.source === source);
    const pieces = mergedShard(name, source, own, jobs, progress, signal);
    written.set(name, await folder.write(name, pieces, place));
  }
  if (opened.index !== undefined && opened.indexName !== undefined)
    written.set(opened.indexName, await folder.write(opened.indexName, [opened.index], place));
  return written;
}

/** The pieces of a merged shard: the unchanged header, then the tensors in the order of the file. */
async function* mergedShard(
  name: string,
  source: ByteSource,
  tensors: readonly StoredTensor[],
  jobs: ReadonlyMap<string, Job>,
  progress: (name: string) => void,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const bytes = await source.read(offset, length, signal);
    if (bytes.length === length) return bytes;
    return fail(KIND.TRUNCATED_SOURCE, {
      where: quotePath(name),
      expected: `${length} bytes`,
      actual: bytes.length,
      offset,
    });
  };
  yield await read(0, headerBytes(await read(0, 8)));
  for (const tensor of [...tensors].sort((x, y) => x.offset - y.offset)) {
    const job = jobs.get(tensor.name);
    if (job !== undefined) yield job(await read(tensor.offset, tensor.length));
    else
      for (let done = 0; done < tensor.length; done += PIECE)
        yield await read(tensor.offset + done, Math.min(PIECE, tensor.length - done));
    progress(tensor.name);
  }
}
