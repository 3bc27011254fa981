/**
 * Reads a PEFT directory: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * This file resolves everything that PEFT leaves to the loader: each module's rank, multiplier, layout and role, which tensors
 * replace which, and the indices of token rows. It does not check values; the encoder checks that they are finite.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Adapter, LoraModule, MetaValue } from "../../model/adapter.ts";
import type { ReadSettings } from "../dialect.ts";
import type { FactorElement } from "../elements.ts";
import { quoteName } from "../json.ts";
import { describeElements, unusualOrder } from "../origin.ts";
import { CONFIG_FILE, type Source } from "../source.ts";
import type { TensorFile } from "../tensor-file.ts";
import { type PeftConfig, readPeftConfig } from "./config.ts";
import { factorKey, type KeyContext, tensorKey } from "./layout.ts";
import { buildModule, pairFactors } from "./modules.ts";
import { packOrigin } from "./origin.ts";
import { type SortedKeys, sortKeys } from "./sort-keys.ts";
import { type KeyedTensor, moduleTensors, tokenTensors, wholeTensors } from "./tensors.ts";

export const WEIGHTS_FILE = "adapter_model.safetensors";

/**
 * Reads an adapter. Modules and tensors are in the order of the file.
 *
 * @throws LqaError of class S for broken files (see `config.ts`, `sort-keys.ts`, `modules.ts`, `tensors.ts` and
 * `../safetensors.ts`); TRUNCATED_SOURCE; UNSUPPORTED_ADAPTER_FEATURE for an adapter that LQA cannot express.
 */
export function readPeft(source: Source, settings: ReadSettings): Adapter {
  const configBytes = source.config;
  const given = source.configuration();
  if (configBytes === undefined || given === undefined) {
    return fail(KIND.UNSUPPORTED_DIALECT, {
      where: "the PEFT adapter",
      expected: `${CONFIG_FILE}, which alone has the multiplier`,
      actual: "weights without it",
      advice: "Give the directory with both files.",
    });
  }
  const config = readPeftConfig(given, source.meter);
  if (config.unknown.length > 0)
    settings.onNote?.(
      `${CONFIG_FILE} has fields that this version does not know: ${config.unknown.map(quoteName).join(", ")}. PEFT ignores fields that it does not know; they are kept.`,
    );
  const file = source.tensors();
  const keys = sortKeys(file.tensors, config, settings);
  const modules: LoraModule[] = [];
  const ofModules: KeyedTensor[] = [];
  for (const found of keys.modules.values()) {
    if (found.parts.size === 1 && found.parts.has("token-rows")) continue;
    const module = buildModule(found, config);
    modules.push(module);
    ofModules.push(...moduleTensors(found, module, config));
  }
  if (modules.length === 0 && config.tokenIndices === undefined) {
    fail(KIND.SOURCE_UNPAIRED_FACTOR, {
      where: "the weights",
      expected: "at least one module",
      actual: "none",
    });
  }
  const keyed = [...ofModules, ...tokenTensors(keys.modules.values(), config), ...wholeTensors(keys)];
  return {
    modules,
    tensors: keyed.map(({ tensor }) => tensor),
    origin: packOrigin({ config: configBytes, ...describeFile(file, keys, modules, keyed) }),
    meta: describeBase(config),
  };
}

/** The fields of the origin record that depend on the weights. */
function describeFile(
  file: TensorFile,
  sorted: SortedKeys,
  modules: readonly LoraModule[],
  tensors: readonly KeyedTensor[],
): Omit<Parameters<typeof packOrigin>[0], "config"> {
  const { prefix, adapter } = sorted;
  const context: KeyContext = { prefix, adapter, adapted: new Set(modules.map(({ name }) => name)) };
  const keys = new Map<string, string>();
  const types: [string, [FactorElement, FactorElement]][] = [];
  for (const module of modules) {
    const { a, b } = pairFactors(sorted.modules.get(module.name)!);
    for (const [factor, { key }] of [["b", b] as const, ["a", a] as const]) {
      const usual = factorKey(module, factor, context);
      if (usual !== key) keys.set(usual, key);
    }
    types.push([module.name, [b.tensor.element as FactorElement, a.tensor.element as FactorElement]]);
  }
  for (const { tensor, key } of tensors) {
    const usual = tensorKey(tensor, context);
    if (usual !== undefined && key !== undefined && usual !== key) keys.set(usual, key);
  }
  return {
    prefix,
    adapter,
    keys,
    ...describeElements(types),
    metadata: file.metadata,
    order: unusualOrder(file.tensors),
  };
}

function describeBase(config: PeftConfig): { [key: string]: MetaValue } {
  const meta: { [key: string]: MetaValue } = {};
  if (config.baseModel !== undefined) meta.base_model = config.baseModel;
  if (config.revision !== undefined) meta.base_revision = config.revision;
  meta.source = config.peftVersion === undefined ? "peft" : `peft ${config.peftVersion}`;
  return meta;
}
