/**
 * Makes a configuration for an adapter that did not come from PEFT.
 *
 * It states the multiplier as `lora_alpha = multiplier · r`: at most 24 significant bits times a small integer, which
 * binary64 holds exactly, so PEFT's division gives exactly the same multiplier. Modules whose rank or alpha is not the most
 * frequent one get a pattern that names only them.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Adapter, LoraModule, PlainTensor } from "../../model/adapter.ts";
import { readIndices } from "../elements.ts";
import { quoteName } from "../json.ts";
import { commonest } from "../origin.ts";
import { isEmbeddingLayer } from "./keys.ts";

/**
 * The bytes of an `adapter_config.json`, formatted as PEFT writes it (sorted keys, two spaces).
 *
 * @param shortTargets names layers by the last parts of their paths if these name the same layers: see `lastParts`
 * @throws LqaError UNSUPPORTED_DIALECT for what PEFT has no field for: linear layers of both layouts in one adapter,
 * carried tensors, modules inside each other, a multiplier beyond 2^53 / rank
 */
export function synthesizeConfig(adapter: Adapter, shortTargets = false): Uint8Array {
  const { modules, tensors } = adapter;
  refuseNested(modules);
  refuseExperts(modules);
  refuseBiasedDora(tensors);
  const rank = commonest(modules.map((module) => module.rank)) ?? 8;
  const alpha = commonest(modules.map(alphaOf)) ?? 8;
  const config: Record<string, unknown> = {
    alpha_pattern: pattern(modules, alphaOf, alpha),
    base_model_name_or_path: textOf(adapter.meta.base_model),
    bias: tensors.some(({ role }) => role === "bias") ? "all" : "none",
    fan_in_fan_out: fanInFanOut(modules),
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: alpha,
    lora_bias: tensors.some(({ role }) => role === "lora-bias"),
    lora_dropout: 0,
    modules_to_save: modulesToSave(adapter),
    peft_type: "LORA",
    r: rank,
    rank_pattern: pattern(modules, (module) => module.rank, rank),
    revision: textOf(adapter.meta.base_revision),
    target_modules: (shortTargets ? lastParts(modules) : undefined) ?? modules.map(({ name }) => name).sort(),
    task_type: null,
    trainable_token_indices: tokenIndices(tensors),
    use_dora: tensors.some(({ role }) => role === "magnitude"),
    use_rslora: false,
  };
  return new TextEncoder().encode(JSON.stringify(config, null, 2));
}

/** Paths in models that are one decoder. Models with several stacks have longer paths and repeat last parts in each stack. */
const DECODER = /^(?:model\.layers|transformer\.h|gpt_neox\.layers)\.(\d+)\.(?:[a-z_]+\.)*([a-z_]+)$/;

/** Last parts that name only one layer per block in every decoder that has them, unlike `dense` or `c_proj`. */
const ONE_OF_A_BLOCK: ReadonlySet<string> = new Set([
  ...["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
  ...["qkv_proj", "gate_up_proj", "query_key_value"],
]);

/**
 * The last parts of the modules' paths, if they name the same modules: each must occur in all blocks from the first to the
 * last adapted one. Undefined otherwise.
 *
 * Older SGLang took whole entries for last parts and refused directories with paths; newer SGLang, vLLM and PEFT accept
 * both. The file does not know how many blocks follow the last adapted one; there PEFT makes adapters that change nothing.
 */
function lastParts(modules: readonly LoraModule[]): string[] | undefined {
  const blocks = new Map<string, Set<number>>();
  let count = 0;
  for (const { name } of modules) {
    const [, block, last] = DECODER.exec(name) ?? [];
    if (last === undefined || !ONE_OF_A_BLOCK.has(last)) return undefined;
    blocks.set(last, (blocks.get(last) ?? new Set()).add(Number(block)));
    count = Math.max(count, Number(block) + 1);
  }
  const all = [...blocks.values()].every(({ size }) => size === count);
  return all ? [...blocks.keys()].sort() : undefined;
}

function alphaOf({ name, multiplier, rank }: LoraModule): number {
  const alpha = multiplier * rank;
  // JSON would print an integer above 2^53 with the shortest digits, which Python reads as another integer.
  if (Math.abs(alpha) <= Number.MAX_SAFE_INTEGER) return alpha;
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: `the multiplier of module ${quoteName(name)}`,
    expected: "a finite number below 2^53 / rank",
    actual: multiplier,
  });
}

/** Patterns that match exactly one module: anchored, with all special characters escaped. */
function pattern(
  modules: readonly LoraModule[],
  value: (module: LoraModule) => number,
  usual: number,
): Record<string, number> {
  const entries = modules
    .filter((module) => value(module) !== usual)
    .map((module): [string, number] => [
      `^${module.name.replace(/[^\p{L}\p{N}_]/gu, "\\$&")}`,
      value(module),
    ]);
  return Object.fromEntries(entries);
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function fanInFanOut(modules: readonly LoraModule[]): boolean {
  const linear = modules.filter(({ role }) => role === "linear");
  const swapped = linear.filter(({ baseLayout }) => baseLayout === "in-out");
  if (swapped.length > 0 && swapped.length < linear.length) {
    fail(KIND.UNSUPPORTED_DIALECT, {
      where: `module ${quoteName(swapped[0]!.name)}`,
      expected: "one base layout for all linear layers, since PEFT has one flag for all",
      actual: "both",
    });
  }
  return swapped.length > 0;
}

/** The layers to replace as a whole: only outermost ones, because PEFT cannot wrap one inside another. */
function modulesToSave({ tensors }: Adapter): string[] | null {
  const layers = new Set<string>();
  for (const { role, name } of tensors) {
    const dot = name.lastIndexOf(".");
    if (role === "replace" && dot < 1) {
      fail(KIND.UNSUPPORTED_DIALECT, {
        where: `tensor ${quoteName(name)}`,
        expected: "tensors that PEFT has a place for",
        actual: "a replaced tensor outside any layer",
      });
    }
    // PEFT saves and loads embeddings without an entry.
    if (role === "replace" && !isEmbeddingLayer(name.slice(0, dot))) layers.add(name.slice(0, dot));
  }
  const outermost = [...layers].filter((layer) => !hasAncestor(layer, layers)).sort();
  return outermost.length === 0 ? null : outermost;
}

function hasAncestor(path: string, paths: ReadonlySet<string>): boolean {
  for (let dot = path.lastIndexOf("."); dot > 0; dot = path.lastIndexOf(".", dot - 1)) {
    if (paths.has(path.slice(0, dot))) return true;
  }
  return false;
}

/** PEFT's key for a layer inside an adapted one (attention) has wrapper segments that the two names do not determine. */
function refuseNested(modules: readonly LoraModule[]): void {
  const names = new Set(modules.map(({ name }) => name));
  const nested = modules.find(({ name }) => hasAncestor(name, names));
  if (nested === undefined) return;
  fail(KIND.UNSUPPORTED_DIALECT, {
    where: `module ${quoteName(nested.name)}`,
    expected: "modules outside each other",
    actual: "a module inside another one",
  });
}

/** The layout in which PEFT reads a parameter of experts depends on its version and on the base model, not on its files. */
function refuseExperts(modules: readonly LoraModule[]): void {
  const module = modules.find(({ experts }) => experts > 1);
  if (module === undefined) return;
  fail(KIND.UNSUPPORTED_DIALECT, {
    where: `module ${quoteName(module.name)}`,
    expected: "no experts, unless the adapter came from PEFT",
    actual: `${module.experts} experts`,
  });
}

/** PEFT's configuration refuses both together. */
function refuseBiasedDora(tensors: readonly PlainTensor[]): void {
  const bias = tensors.find(({ role }) => role === "lora-bias");
  if (bias === undefined || !tensors.some(({ role }) => role === "magnitude")) return;
  fail(KIND.UNSUPPORTED_DIALECT, {
    where: `LoRA bias of module ${quoteName(bias.name)}`,
    expected: "either DoRA or LoRA biases, since PEFT takes no more",
    actual: "both",
  });
}

function tokenIndices(tensors: readonly PlainTensor[]): Record<string, number[]> | null {
  const tables = tensors.filter(({ role }) => role === "token-indices");
  if (tables.length === 0) return null;
  return Object.fromEntries(tables.map((tensor) => [tensor.name, readIndices(tensor)]));
}
