/**
 * Opens a model by path (Node only): a safetensors file, a shard index, or a directory that holds either.
 *
 * Shards are only looked for next to their index.
 *
 * @module
 */
import { basename, dirname, join } from "node:path";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { parseShardIndex, type ShardedModel } from "../models/extract/model.ts";
import { type FileSource, isDirectory, namesIn, openFileSource, readRegularFile } from "./files/file.ts";
import { quotePath } from "./files/os-error.ts";

const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
/** What diffusers calls the weights of a UNet or transformer. */
const DIFFUSION = "diffusion_pytorch_model.safetensors";

/** The largest index of shards: the models of a trillion weights, with hundreds of experts, have 15 MB. */
const MAX_INDEX = 32 * 1024 ** 2;

/** A model whose files are open. */
export interface OpenModel extends ShardedModel {
  /** Name of the index's file, if there is one. */
  readonly indexName: string | undefined;
  /** Bytes of all files. */
  readonly bytes: number;
  /** Releases the files. */
  close(): Promise<void>;
}

/**
 * Opens a model.
 *
 * @throws LqaError NOT_FOUND where there is no model, or a shard is absent; SOURCE_SHARDS for a broken index; BUDGET for one
 * above 32 MiB; IO, also for pipes and devices, which are not opened
 */
export async function openModel(path: string, signal?: AbortSignal): Promise<OpenModel> {
  const file = (await isDirectory(path)) ? join(path, await findModel(path)) : path;
  if (!file.endsWith(".json")) return await openFiles(dirname(file), [basename(file)], undefined);
  const index = await readRegularFile(file, MAX_INDEX, signal);
  const model = await openFiles(dirname(file), [...new Set(parseShardIndex(index).values())], index);
  return { ...model, indexName: basename(file) };
}

async function openFiles(
  folder: string,
  names: readonly string[],
  index: Uint8Array | undefined,
): Promise<OpenModel> {
  const files = new Map<string, FileSource>();
  const close = async (): Promise<void> => {
    for (const source of files.values()) await source.close();
  };
  try {
    for (const name of names) files.set(name, await openFileSource(join(folder, name)));
  } catch (error) {
    await close();
    throw error;
  }
  let bytes = 0;
  for (const { size } of files.values()) bytes += size;
  return { files, index, indexName: undefined, bytes, close };
}

/** As transformers looks: the single file first, then the index; failing both, the only safetensors file. */
async function findModel(folder: string): Promise<string> {
  const names = await namesIn(folder);
  if (names.includes(WEIGHTS)) return WEIGHTS;
  if (names.includes(INDEX)) return INDEX;
  if (names.includes(DIFFUSION)) return DIFFUSION;
  const indices = names.filter((name) => name.endsWith(".safetensors.index.json"));
  if (indices.length === 1) return indices[0]!;
  const candidates = names.filter((name) => name.endsWith(".safetensors"));
  if (indices.length === 0 && candidates.length === 1) return candidates[0]!;
  const pickle = names.some((name) => /^pytorch_model.*\.(bin|pt)$/.test(name));
  return fail(KIND.NOT_FOUND, {
    where: quotePath(folder),
    expected: `${WEIGHTS} or ${INDEX}`,
    actual: candidates.length === 0 ? "no safetensors file" : `${candidates.length} safetensors files`,
    advice: pickle
      ? "pytorch_model.bin is a Python pickle, which is not read because it can run code. In Python, save the model with save_pretrained(…, safe_serialization=True)."
      : "Give the path of a safetensors file or of the index of its shards.",
  });
}
