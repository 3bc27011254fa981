/**
 * Reads layer shapes for `--base` from a `config.json`, a safetensors file, a shard index, a directory with any of them, or
 * the directory of a diffusion pipeline. Reads only configuration and headers; `base-digest.ts` reads the weights.
 *
 * @module
 */
import type { JsonObject } from "../adapters/json.ts";
import { configHeads, configSize, parseModelConfig } from "../adapters/naming/model-config.ts";
import { type BaseModel, type BaseSizes, compareWithBase } from "../core/validate/base.ts";
import { isLqaError } from "../errors.ts";
import type { ModuleShape } from "../model/adapter.ts";
import { openBase } from "../node/base-digest.ts";
import type { LocationOptions } from "../node/index.ts";
import { type ModelFolder, openModelFolder } from "../node/model-folder.ts";
import { shownLocation } from "../node/remote/location.ts";

/** @throws LqaError as `openModelFolder`; SOURCE_CONFIG, SOURCE_HEADER … for a broken base model */
export async function readBaseModel(location: string, options: LocationOptions = {}): Promise<BaseModel> {
  const folder = await openModelFolder(location, options);
  const { file } = folder;
  if (file?.endsWith(".json") && !file.endsWith(".index.json")) return await fromConfig(folder, file);
  try {
    const { tensors, close } = await openBase(folder);
    await close();
    return { kind: "shapes", shapes: new Map([...tensors].map(([name, { shape }]) => [name, shape])) };
  } catch (error) {
    // A directory without weights may still have the configuration.
    const config = "config.json";
    if (isLqaError(error, "NOT_FOUND") && file === undefined && (await folder.has(config)))
      return await fromConfig(folder, config);
    throw error;
  }
}

/**
 * Makes a function that refuses modules whose layers have other shapes in this base model, as `lqa validate --base` does.
 * Undefined for a base model in GGUF: the shapes in its description have llama.cpp's names and are compared under those names.
 *
 * @throws LqaError as {@link readBaseModel}; the function throws BASE_MODULE_MISSING, BASE_SHAPE
 */
export async function baseCheck(
  location: string | undefined,
  options: LocationOptions = {},
): Promise<((modules: readonly ModuleShape[]) => void) | undefined> {
  if (location === undefined || /\.gguf$/i.test(shownLocation(location))) return undefined;
  const model = await readBaseModel(location, options);
  return (modules) => {
    const [first] = compareWithBase({ modules }, model, 1).findings;
    if (first !== undefined) throw first;
  };
}

async function fromConfig(folder: ModelFolder, name: string): Promise<BaseModel> {
  return { kind: "config", sizes: sizesOf(parseModelConfig(await folder.read(name))) };
}

function sizesOf(config: JsonObject): BaseSizes {
  // Multimodal models nest the sizes of their language model one level deeper.
  const text = config.get("text_config");
  const source: JsonObject = text instanceof Map ? text : config;
  const size = (...names: readonly string[]): number | undefined => configSize(source, ...names);
  const hidden = size("hidden_size", "n_embd", "d_model");
  const { heads, keyHeads } = configHeads(source);
  const headSize =
    size("head_dim") ?? (hidden === undefined || heads === undefined ? undefined : hidden / heads);
  const times = (count: number | undefined): number | undefined =>
    count === undefined || headSize === undefined ? undefined : count * headSize;
  const names = ["intermediate_size", "moe_intermediate_size", "shared_expert_intermediate_size"];
  return {
    layers: size("num_hidden_layers", "n_layer"),
    hidden,
    intermediate: names.map((name) => size(name)).filter((value) => value !== undefined),
    queries: times(heads),
    keys: times(keyHeads),
    vocabulary: size("vocab_size"),
  };
}
