/**
 * Names of weight matrices in GGUF files of language models, and the names that training programs give to the same layers.
 *
 * GGUF has one name for a layer in all architectures (`blk.3.attn_q.weight`), so that one name matches many paths
 * (`model.layers.3.self_attn.q_proj`, `transformer.h.3.attn.q_proj`, …). Only the part after the block's number is compared,
 * because prefixes depend on how a program wrapped the model.
 *
 * @module
 */
import { BLOCK_PATHS } from "../../model/layer-names.ts";

/** Last segments of the path of the output layer, which is outside the blocks. */
export const OUTPUT_PATHS: readonly string[] = ["lm_head", "embed_out", "output_layer"];

/** A parsed path. Paths of the same layer have the same `key`. */
export interface LayerKey {
  readonly key: string;
  /** Index of the expert, if the layer is one of many. */
  readonly expert: number | undefined;
}

const BLOCK = /^(?:(.*?)\.)?(?:layers|layer|h|blocks)\.(\d+)\.(.+)$/;
/** Prefixes of layers that GGUF's `blk` does not mean: other towers, and PLaMo's `layers.layers`. */
const FOREIGN = /(?:^|\.)(?:(?:vision|visual|vit|vpm|image|audio|speech)[^.]*(?:\..*)?|layers)$/;

/** Key of a module by its path; undefined if no GGUF name matches it. */
export function moduleKey(path: string): LayerKey | undefined {
  const found = BLOCK.exec(path);
  if (found === null) {
    const last = path.slice(path.lastIndexOf(".") + 1);
    return OUTPUT_PATHS.includes(last) ? { key: "output", expert: undefined } : undefined;
  }
  const [, prefix = "", block, inner] = found;
  if (FOREIGN.test(prefix)) return undefined;
  const expert = /(?:^|\.)experts\.(\d+)\./.exec(inner!)?.[1];
  const layer = expert === undefined ? inner! : inner!.replace(`experts.${expert}.`, "experts.");
  return { key: `${block}.${layer}`, expert: expert === undefined ? undefined : Number(expert) };
}

/** Keys of the modules that a weight matrix of a GGUF file may belong to: `blk.3.attn_q.weight`. */
export function ggufKeys(name: string): string[] {
  // If the embedding is also the output layer, moments of inputs can only belong to the output layer.
  if (name === "output.weight" || name === "token_embd.weight") return ["output"];
  const [, block, layer] = /^blk\.(\d+)\.([a-z_]+)\.weight$/.exec(name) ?? [];
  if (layer === undefined || !Object.hasOwn(BLOCK_PATHS, layer)) return [];
  return BLOCK_PATHS[layer]!.map((path) => `${block}.${path}`);
}
