/**
 * The plain tensors of a PEFT adapter (spec clause 9.4): DoRA magnitudes, LoRA biases, token rows with their indices,
 * and tensors that replace the base model's.
 *
 * Guarantees that every tensor that the configuration announces is present, and that every one present is announced: PEFT
 * would silently leave a missing magnitude at its initial value, and silently ignore an unannounced one.
 *
 * @module
 */

import { equalBytes } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { LoraModule, PlainTensor } from "../../model/adapter.ts";
import type { Found } from "../factors.ts";
import { quoteName } from "../json.ts";
import type { SafeTensor } from "../safetensors.ts";
import type { PeftConfig } from "./config.ts";
import { unwrapSaved } from "./keys.ts";
import type { FoundModule, SortedKeys } from "./sort-keys.ts";

/** A plain tensor and its key. Token indices have no key: they are in the configuration. */
export interface KeyedTensor {
  readonly tensor: PlainTensor;
  readonly key: string | undefined;
}

/**
 * The extra tensor of a module that the configuration requires: `magnitude` with use_dora, `lora-bias` with lora_bias.
 *
 * @throws LqaError SOURCE_UNPAIRED_FACTOR if it is missing; SOURCE_CONFIG if one is present that is not announced;
 *   SOURCE_SHAPE, SOURCE_ELEMENT_TYPE
 */
export function moduleTensors(found: FoundModule, module: LoraModule, config: PeftConfig): KeyedTensor[] {
  const { name, out, kernel } = module;
  const result: KeyedTensor[] = [];
  const magnitude = announced(found, "magnitude", config.useDora, "use_dora");
  if (magnitude !== undefined) {
    const shape = kernel.length === 0 ? [out] : [1, out, ...kernel.map(() => 1)];
    const axis = module.baseLayout === "in-out" ? 1 : 0;
    result.push(keyed(magnitude, checkFloat(magnitude, shape), name, "magnitude", axis));
  }
  // PEFT has no lora_bias for embeddings.
  const wantsBias = config.loraBias && module.role !== "embedding";
  const bias = announced(found, "lora-bias", wantsBias, "lora_bias");
  if (bias !== undefined) result.push(keyed(bias, checkFloat(bias, [out]), name, "lora-bias"));
  return result;
}

function announced(
  found: FoundModule,
  kind: "magnitude" | "lora-bias",
  wanted: boolean,
  field: string,
): Found | undefined {
  const part = found.parts.get(kind);
  if ((part !== undefined) === wanted) return part;
  const where = `module ${quoteName(found.name)}`;
  if (wanted) fail(KIND.SOURCE_UNPAIRED_FACTOR, { where, expected: `a tensor for ${field}`, actual: "none" });
  return fail(KIND.SOURCE_CONFIG, {
    where,
    expected: `${field} true`,
    actual: `${quoteName(part!.key)} without it`,
  });
}

function checkFloat({ key, tensor }: Found, shape: readonly number[]): SafeTensor {
  const where = `tensor ${quoteName(key)}`;
  if (!/^B?F\d+$/.test(tensor.element)) {
    fail(KIND.SOURCE_ELEMENT_TYPE, { where, expected: "a float type", actual: tensor.element });
  }
  if (`${tensor.shape}` !== `${shape}` || tensor.shape.length !== shape.length) {
    fail(KIND.SOURCE_SHAPE, { where, expected: `[${shape}]`, actual: `[${tensor.shape}]` });
  }
  return tensor;
}

function keyed(
  found: Found,
  tensor: SafeTensor,
  name: string,
  role: PlainTensor["role"],
  axis = 0,
): KeyedTensor {
  return { key: found.key, tensor: { name, role, axis, ...tensor } };
}

/**
 * Token rows and their indices, rows first.
 *
 * @throws LqaError SOURCE_CONFIG if rows and trainable_token_indices do not match;
 * SOURCE_UNPAIRED_FACTOR if announced indices have no rows; SOURCE_SHAPE, SOURCE_ELEMENT_TYPE
 */
export function tokenTensors(modules: Iterable<FoundModule>, config: PeftConfig): KeyedTensor[] {
  const result: KeyedTensor[] = [];
  const matched = new Map<string, readonly number[]>();
  for (const { name, parts } of modules) {
    const rows = parts.get("token-rows");
    if (rows === undefined) continue;
    const indices = indicesFor(name, config);
    const dimension = Math.max(1, rows.tensor.shape[1] ?? 1);
    const tensor = checkFloat(rows, [indices.length, dimension]);
    const ascending = indices.toSorted((x, y) => x - y);
    const data = permuteRows(tensor.data, indices, ascending);
    result.push(keyed(rows, { ...tensor, data }, name, "token-rows"));
    result.push({ key: undefined, tensor: indexTensor(name, ascending) });
    matched.set(name, indices);
  }
  checkAllMatched(config, matched);
  return result;
}

/** Reorders rows from the order of the indices `from` to the order of `to`; both list the same indices. */
export function permuteRows(data: Uint8Array, from: readonly number[], to: readonly number[]): Uint8Array {
  if (`${from}` === `${to}`) return data;
  const size = data.length / from.length;
  const places = new Map(from.map((index, at) => [index, at]));
  const result = new Uint8Array(data.length);
  to.forEach((index, at) => {
    const place = places.get(index)!;
    result.set(data.subarray(place * size, (place + 1) * size), at * size);
  });
  return result;
}

export function indicesFor(name: string, { tokenIndices: table, meter }: PeftConfig): readonly number[] {
  if (table instanceof Map) {
    meter.charge("steps", table.size);
    for (const [suffix, indices] of table) if (name.endsWith(suffix)) return indices;
  } else if (table !== undefined) return table as readonly number[];
  return fail(KIND.SOURCE_CONFIG, {
    where: 'adapter_config.json field "trainable_token_indices"',
    expected: `the indices of ${quoteName(name)}`,
    actual: "nothing",
  });
}

function checkAllMatched(
  { tokenIndices: table, meter }: PeftConfig,
  matched: ReadonlyMap<string, readonly number[]>,
): void {
  if (table === undefined) return;
  const where = 'adapter_config.json field "trainable_token_indices"';
  if (matched.size === 0)
    fail(KIND.SOURCE_UNPAIRED_FACTOR, { where, expected: "token rows", actual: "none" });
  if (!(table instanceof Map)) {
    if (matched.size === 1) return;
    fail(KIND.SOURCE_CONFIG, {
      where,
      expected: "indices by module name",
      actual: `one list for ${matched.size} modules`,
    });
  }
  const lists = new Set([...matched.values()].map((indices) => `${indices}`));
  for (const [suffix, indices] of table as ReadonlyMap<string, readonly number[]>) {
    meter.charge("steps", matched.size);
    // A layer tied to the embedding has no rows of its own: PEFT saves them once.
    if ([...matched.keys()].some((name) => name.endsWith(suffix)) || lists.has(`${indices}`)) continue;
    fail(KIND.SOURCE_UNPAIRED_FACTOR, {
      where,
      expected: `token rows of ${quoteName(suffix)}`,
      actual: "none",
    });
  }
}

function indexTensor(name: string, indices: readonly number[]): PlainTensor {
  const data = new Uint8Array(4 * indices.length);
  const view = new DataView(data.buffer);
  for (const [at, index] of indices.entries()) view.setUint32(4 * at, index, true);
  return { name, role: "token-indices", element: "U32", shape: [indices.length], axis: 0, data };
}

/**
 * The tensors that replace the base model's, and the carried ones.
 *
 * @throws LqaError SOURCE_UNKNOWN_TENSOR if the file stores one tensor twice with different values; SOURCE_ELEMENT_TYPE for a
 * bias that is not of a float type
 */
export function wholeTensors({ tensors, adapter }: SortedKeys): KeyedTensor[] {
  const effective = new Map<string, SafeTensor>();
  for (const { kind, name, tensor, key } of tensors) {
    if (kind !== "replace" && kind !== "bias") continue;
    if (effective.has(name)) twice(key, name);
    effective.set(name, tensor);
  }
  return tensors.map((found): KeyedTensor => {
    const { kind, name, tensor, key } = found;
    if (kind === "bias") checkFloat(found, tensor.shape);
    if (kind !== "wrapped") return keyed(found, tensor, name, kind);
    // With bias "all" PEFT saves the biases of saved modules a second time, under the wrapper's own name.
    const target = unwrapSaved(name, adapter);
    const other = effective.get(target);
    if (other === undefined) {
      effective.set(target, tensor);
      return keyed(found, tensor, target, "replace");
    }
    if (!equalBytes(other.data, tensor.data)) twice(key, target);
    return keyed(found, tensor, name, "carried");
  });
}

function twice(key: string, name: string): never {
  const where = `tensor ${quoteName(key)}`;
  return fail(KIND.SOURCE_UNKNOWN_TENSOR, {
    where,
    expected: `one value for ${quoteName(name)}`,
    actual: "a second one",
  });
}
