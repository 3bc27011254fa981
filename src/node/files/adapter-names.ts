/**
 * Decides by name which file of a directory holds the weights of an adapter.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { shardsOf } from "../../model/shards.ts";

/** The configuration next to the weights, of PEFT and of MLX. */
export const CONFIG_FILE = "adapter_config.json";
/** An encoded adapter in a directory of PEFT's layout, next to the configuration: docs/peft-layout.md. */
export const LQA_FILE = "adapter_model.lqa";
/** File names that programs give the weights. The first one that exists is used. */
const WEIGHTS = [
  "adapter_model.safetensors",
  "adapters.safetensors",
  "pytorch_lora_weights.safetensors",
  "adapter_model.bin",
  "adapters.npz",
  "pytorch_lora_weights.bin",
] as const;
/** Other extensions of weights. safetensors is preferred: it is the only container without risks. */
const SAFE = /\.safetensors$/;
const OTHERS = /\.(gguf|onnx_adapter|bin|pt|pth|ckpt|npz|fb)$/;

/** Extensions of files of weights. */
export const WEIGHTS_ENDING: RegExp = /\.(safetensors|bin|pt|pth|ckpt|npz|gguf|onnx_adapter|fb)$/;

/** Whether the files of a directory are an encoded adapter, without the weights that it was made from. */
export function isEncoded(names: readonly string[]): boolean {
  return names.includes(LQA_FILE) && !names.some((name) => WEIGHTS_ENDING.test(name));
}

/** The file of weights among the files of a directory, if one has a name that programs give it. */
export function usualWeights(names: readonly string[]): string | undefined {
  return WEIGHTS.find((name) => names.includes(name));
}

/**
 * The weights among the names of a directory: the file with a name of PEFT, MLX or diffusers or, without one, the only file of
 * weights, or the first shard if all shards of one adapter are there.
 *
 * @param folder the directory, as errors name it
 * @throws LqaError NOT_FOUND if there are no weights or several candidates; the message says what is there instead
 */
export function weightsAmong(found: readonly string[], folder: string): string {
  const names = [...found].sort();
  const usual = usualWeights(names);
  if (usual !== undefined) return usual;
  for (const endings of [SAFE, OTHERS]) {
    const candidates = names.filter((name) => endings.test(name));
    const [first] = candidates;
    if (
      candidates.length === 1 ||
      (first !== undefined && shardsOf(first, names).length === candidates.length)
    )
      return first!;
    if (candidates.length > 1)
      return notFound(
        folder,
        names,
        "Several files of weights are here: give the path of the one that is meant.",
      );
  }
  if (isEncoded(names))
    return notFound(
      folder,
      names,
      "This adapter is encoded already. To get its weights back, run lqa decode.",
    );
  const checkpoint = names.find((name) => name.startsWith("checkpoint-"));
  return notFound(
    folder,
    names,
    checkpoint === undefined
      ? "Give the directory that save_pretrained wrote, or a file of weights. For a directory of adapters, give --out-dir."
      : `Give the path of a checkpoint, for example ${JSON.stringify(checkpoint)}.`,
  );
}

function notFound(folder: string, names: readonly string[], advice: string): never {
  return fail(KIND.NOT_FOUND, { where: folder, expected: WEIGHTS[0], actual: listing(names), advice });
}

function listing(names: readonly string[]): string {
  if (names.length === 0) return "an empty directory";
  const shown = names.slice(0, 4).map((name) => JSON.stringify(name));
  return names.length > 4 ? `${shown.join(", ")} and ${names.length - 4} more` : shown.join(", ");
}
