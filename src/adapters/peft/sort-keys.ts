/**
 * Sorts the tensors of a PEFT file into modules and whole tensors. A tensor that fits neither is an error.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { BaseLayout } from "../../model/adapter.ts";
import type { ReadSettings } from "../dialect.ts";
import type { Found } from "../factors.ts";
import { quoteName } from "../json.ts";
import type { SafeTensor } from "../safetensors.ts";
import type { PeftConfig } from "./config.ts";
import { nameParameters } from "./experts.ts";
import { type ModuleKey, PREFIX, parseModuleKey, parseTensorKey, type TensorKey, unwrap } from "./keys.ts";

/** The tensors of one module. */
export interface FoundModule {
  /** Path inside the base model. */
  readonly name: string;
  /** The same, with PEFT's wrapper segments. */
  readonly path: string;
  readonly parts: Map<ModuleKey["kind"], Found>;
  /** For LoRA on a bare parameter: how the base stores its experts. */
  readonly experts?: BaseLayout;
}

/** A tensor with no special role. `name` and `kind` as in `keys.ts`. */
export type FoundTensor = Found & TensorKey;

export interface SortedKeys {
  /** In order of first appearance. */
  readonly modules: Map<string, FoundModule>;
  /** In the order of the file. */
  readonly tensors: FoundTensor[];
  readonly prefix: string;
  /** The adapter's name, if any key carries one. */
  readonly adapter: string | undefined;
}

/**
 * Sorts all tensors.
 *
 * @throws LqaError SOURCE_UNKNOWN_TENSOR for a key that matches no rule, a second tensor for one place, or a second
 * adapter in the file; UNSUPPORTED_ADAPTER_FEATURE for LoRA nested in LoRA
 */
export function sortKeys(
  tensors: ReadonlyMap<string, SafeTensor>,
  config: PeftConfig,
  settings: ReadSettings,
): SortedKeys {
  const prefixed = [...tensors.keys()].some((key) => key.startsWith(PREFIX));
  const prefix = prefixed ? PREFIX : "";
  const modules = new Map<string, FoundModule>();
  const others: FoundTensor[] = [];
  let adapter: string | undefined;
  for (const [key, tensor] of tensors) {
    if (!key.startsWith(prefix)) unknown(key, `a key that begins with ${PREFIX}, as others of this file do`);
    const rest = key.slice(prefix.length);
    const moduleKey = parseModuleKey(rest);
    if (moduleKey !== undefined) {
      if (moduleKey.adapter !== undefined && adapter !== undefined && moduleKey.adapter !== adapter) {
        unknown(key, `tensors of one adapter (others belong to ${quoteName(adapter)})`);
      }
      adapter ??= moduleKey.adapter;
      addPart(modules, moduleKey, { key, tensor });
      continue;
    }
    const tensorKey = parseTensorKey(rest, config, tensor.shape.length === 1);
    if (tensorKey === undefined)
      return unknown(key, "a LoRA tensor, or one that the configuration accounts for");
    others.push({ key, tensor, ...tensorKey });
  }
  return { modules: nameParameters(modules, config, settings), tensors: others, prefix, adapter };
}

function addPart(modules: Map<string, FoundModule>, { kind, path }: ModuleKey, found: Found): void {
  // LoRA inside LoRA, which PEFT writes for several parameters of one layer, keeps its path as its name.
  const name = /(^|\.)base_layer$/.test(path) ? path : unwrap(path);
  const module: FoundModule = modules.get(name) ?? { name, path, parts: new Map() };
  if (module.parts.has(kind)) {
    unknown(found.key, `one tensor for this place (the other is ${quoteName(module.parts.get(kind)!.key)})`);
  }
  module.parts.set(kind, found);
  modules.set(name, module);
}

function unknown(key: string, expected: string): never {
  const advice = /[._]scale(_inv)?$/.test(key)
    ? "It looks like the scale of a quantized factor, which no program that lqa knows reads: multiply the factor by it, and save that as F16."
    : undefined;
  return fail(KIND.SOURCE_UNKNOWN_TENSOR, { where: `tensor ${quoteName(key)}`, expected, advice });
}
