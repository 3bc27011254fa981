/**
 * The files of one adapter in the form that dialects use: the weights, opened once, their keys, and the configuration.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import type { WorkMeter } from "../meter.ts";
import { wholeName } from "../model/shards.ts";
import type { SourceBytes, SourceFiles } from "./dialect.ts";
import { configurationMeter, type JsonObject, type JsonValue, parseJson, quoteName } from "./json.ts";
import { readTensorFile, type TensorFile } from "./tensor-file.ts";

/** Name of PEFT's configuration, and of MLX's. */
export const CONFIG_FILE = "adapter_config.json";

/** An adapter's files. */
export interface Source {
  readonly files: SourceFiles;
  /**
   * The only file whose name does not end in `.json`. If the files are shards: the first one, under the name that the unsplit
   * file would have. Undefined for no file or several.
   */
  readonly weights: { readonly name: string; readonly bytes: SourceBytes } | undefined;
  /** Keys of the weights, in their order; empty if the weights cannot be read. */
  readonly keys: readonly string[];
  /** `adapter_config.json`, if there is one. */
  readonly config: Uint8Array | undefined;
  /** The configuration as an object; undefined also if it is broken. */
  readonly settings: JsonObject | undefined;
  /** Counts the work that the configuration causes. */
  readonly meter: WorkMeter;
  /**
   * The configuration, parsed once; undefined if there is none.
   *
   * @throws LqaError SOURCE_CONFIG, BUDGET as `parseJson`
   */
  configuration(): JsonValue | undefined;
  /**
   * The tensors of the weights.
   *
   * @throws LqaError UNSUPPORTED_DIALECT unless there is exactly one file (or set of shards) of weights; as `readTensorFile`
   */
  tensors(): TensorFile;
}

/** Opens the files. Errors in a part are thrown only when a caller uses that part. */
export function openSource(files: SourceFiles): Source {
  const names = [...files.keys()].filter((name) => !name.endsWith(".json"));
  const [name] = names;
  const shards = wholeName(names);
  const weights =
    name === undefined || (names.length > 1 && shards === undefined)
      ? undefined
      : { name: shards ?? name, bytes: files.get(name)! };
  const file = files.get(CONFIG_FILE);
  const config = file?.subarray(0, file.length);
  const read = once(() => {
    if (shards !== undefined) return mergedShards(files, names);
    if (weights !== undefined) return readTensorFile(weights.bytes, weights.name);
    return fail(KIND.UNSUPPORTED_DIALECT, {
      summary: names.length === 0 ? "There are no weights here." : "There are several files of weights here.",
      where: "the files of the adapter",
      expected: "one file of weights",
      actual: names.length === 0 ? "none" : names.slice(0, 4).map(quoteName).join(", "),
      advice: "Give the directory of one adapter, or its file of weights.",
    });
  });
  const meter = configurationMeter(CONFIG_FILE);
  const configuration = once(() => config && parseJson(config, KIND.SOURCE_CONFIG, CONFIG_FILE, meter));
  const keys = once(() => quietly(() => [...read().tensors.keys()]) ?? []);
  return {
    ...{ files, weights, config, meter, configuration, tensors: read },
    get keys() {
      return keys();
    },
    get settings() {
      const value = quietly(configuration);
      return value instanceof Map ? value : undefined;
    },
  };
}

/** The tensors of all shards. @throws LqaError SOURCE_UNKNOWN_TENSOR for a tensor in two shards; as `readTensorFile` */
function mergedShards(files: SourceFiles, names: readonly string[]): TensorFile {
  const tensors: TensorFile["tensors"] = new Map();
  let metadata: TensorFile["metadata"];
  for (const name of [...names].sort()) {
    const shard = readTensorFile(files.get(name)!, name);
    metadata ??= shard.metadata;
    for (const [key, tensor] of shard.tensors) {
      if (tensors.has(key))
        fail(KIND.SOURCE_UNKNOWN_TENSOR, {
          where: `tensor ${quoteName(key)}`,
          expected: "each tensor in one shard",
          actual: `a second one in ${quoteName(name)}`,
        });
      tensors.set(key, tensor);
    }
  }
  return { metadata, tensors };
}

function quietly<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (isLqaError(error)) return undefined;
    throw error;
  }
}

function once<T>(run: () => T): () => T {
  let result: { readonly value: T } | { readonly error: unknown } | undefined;
  return () => {
    if (result === undefined) {
      try {
        result = { value: run() };
      } catch (error) {
        result = { error };
      }
    }
    if ("error" in result) throw result.error;
    return result.value;
  };
}
