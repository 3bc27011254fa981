/**
 * Opens a model by its location (Node only): a safetensors file, a shard index, or a directory that holds either.
 *
 * Shards are searched only next to their index.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { LocationOptions } from "./adapter-source.ts";
import { type ModelFile, type ModelFolder, openModelFolder } from "./model-folder.ts";
import { parseShardIndex, type ShardedModel } from "./stored-model.ts";

const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
/** diffusers' name for the weights of a UNet or transformer. */
const DIFFUSION = "diffusion_pytorch_model.safetensors";

/** The largest index of shards. Indexes of models with a trillion weights and hundreds of experts have 15 MB. */
const MAX_INDEX = 32 * 1024 ** 2;

/** A model whose files are open. */
export interface OpenModel extends ShardedModel {
  /** File name of the index, if there is one. */
  readonly indexName: string | undefined;
  /** Total size of all files. A file on a web server counts only after it was read from. */
  readonly bytes: number;
  /** Releases the files. */
  close(): Promise<void>;
}

/**
 * Opens a model.
 *
 * @param location as in `openModelFolder`; from a server, only the ranges that are read are fetched
 * @throws LqaError NOT_FOUND if there is no model, or a shard is absent; SOURCE_SHARDS for a broken index; BUDGET for an index
 * above 32 MiB; IO, also for pipes and devices, which are not opened; for servers as `openRemoteFile`
 */
export async function openModel(location: string, options: LocationOptions = {}): Promise<OpenModel> {
  return await openModelIn(await openModelFolder(location, options));
}

/** Opens the model in a folder. @throws LqaError as {@link openModel} */
export async function openModelIn(folder: ModelFolder): Promise<OpenModel> {
  const file = folder.file ?? (await findModel(folder));
  if (!file.endsWith(".json")) return await openFiles(folder, [file], undefined, undefined);
  const index = await folder.read(file, MAX_INDEX);
  return await openFiles(folder, [...new Set(parseShardIndex(index).values())], index, file);
}

async function openFiles(
  folder: ModelFolder,
  names: readonly string[],
  index: Uint8Array | undefined,
  indexName: string | undefined,
): Promise<OpenModel> {
  const files = new Map<string, ModelFile>();
  const close = async (): Promise<void> => {
    for (const source of files.values()) await source.close();
  };
  try {
    for (const name of names) files.set(name, await folder.open(name));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    files,
    index,
    indexName,
    get bytes() {
      return [...files.values()].reduce((sum, { size = 0 }) => sum + size, 0);
    },
    close,
  };
}

/** Searches as transformers does: the single file first, then the index; without both, the only index or safetensors file. */
async function findModel(folder: ModelFolder): Promise<string> {
  const names = await folder.names();
  if (names.includes(WEIGHTS)) return WEIGHTS;
  if (names.includes(INDEX)) return INDEX;
  if (names.includes(DIFFUSION)) return DIFFUSION;
  const indices = names.filter((name) => name.endsWith(".safetensors.index.json"));
  if (indices.length === 1) return indices[0]!;
  const candidates = names.filter((name) => name.endsWith(".safetensors"));
  if (indices.length === 0 && candidates.length === 1) return candidates[0]!;
  const pickle = names.some((name) => /^pytorch_model.*\.(bin|pt)$/.test(name));
  return fail(KIND.NOT_FOUND, {
    where: folder.where,
    expected: `${WEIGHTS} or ${INDEX}`,
    actual: candidates.length === 0 ? "no safetensors file" : `${candidates.length} safetensors files`,
    advice: pickle
      ? "pytorch_model.bin is a Python pickle, which is not read because it can run code. In Python, save the model with save_pretrained(…, safe_serialization=True)."
      : "Give the path of a safetensors file or of the index of its shards.",
  });
}
