/**
 * What becomes of each tensor of a base model: a job for those that the adapter changes.
 *
 * @module
 */
import { fromFloat32, toFloat32 } from "../dialects/elements.ts";
import { quoteName } from "../dialects/json.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { Model, StoredTensor } from "../extract/model.ts";
import type { Adapter, LoraModule, PlainTensor } from "../model/adapter.ts";
import { baseFinder, checkBaseShape } from "../read/base.ts";
import { addDelta, applyMagnitude } from "./weights.ts";

/** Makes a tensor's new bytes of its old ones; both have the base's element type and shape. */
export type Job = (bytes: Uint8Array) => Uint8Array;

/**
 * The jobs of an adapter, by base tensor.
 *
 * @throws LqaError BASE_MODULE_MISSING, BASE_SHAPE if the adapter does not fit; UNSUPPORTED_ADAPTER_FEATURE for a LoRA
 * bias of a layer without bias
 */
export function planMerge(adapter: Adapter, model: Model): Map<string, Job> {
  const find = baseFinder(adapter.modules, (name) => model.get(name));
  const jobs = new Map<string, Job>();
  const magnitudes = withRole(adapter, "magnitude");
  const modules = new Map(adapter.modules.map((module) => [module.name, module]));
  for (const module of adapter.modules) checkBaseShape(module, find(module.name)?.shape);
  const add = (tensor: StoredTensor, job: Job): void => {
    const other = jobs.get(tensor.name);
    jobs.set(tensor.name, other === undefined ? job : (bytes) => job(other(bytes)));
  };
  for (const tensor of adapter.tensors) {
    const { role, name } = tensor;
    // A replaced tensor is replaced before anything is added to it.
    if (role === "replace" || role === "bias") add(place(find, tensor), replace(tensor, place(find, tensor)));
    if (role === "token-rows") add(base(find, name), tokenRows(adapter, tensor, base(find, name)));
  }
  for (const module of adapter.modules)
    add(find(module.name)!, weight(module, magnitudes.get(module.name), find));
  for (const [name, bias] of withRole(adapter, "lora-bias")) {
    const target = find(`${name}.bias`);
    if (target === undefined) {
      return fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
        where: `LoRA bias of module ${quoteName(name)}`,
        expected: "a layer with a bias, to add it to",
        actual: "none in the base model",
      });
    }
    add(target, addBias(bias, modules.get(name)!, target));
  }
  return jobs;
}

function withRole({ tensors }: Adapter, role: PlainTensor["role"]): Map<string, PlainTensor> {
  return new Map(tensors.filter((tensor) => tensor.role === role).map((tensor) => [tensor.name, tensor]));
}

function base(find: (name: string) => StoredTensor | undefined, name: string): StoredTensor {
  return (
    find(name) ??
    fail(KIND.BASE_MODULE_MISSING, { where: `tensor ${quoteName(name)}`, expected: "a base tensor" })
  );
}

/** The base tensor that a plain tensor replaces. */
function place(find: (name: string) => StoredTensor | undefined, tensor: PlainTensor): StoredTensor {
  const target = base(find, tensor.name);
  if (`${target.shape}` === `${tensor.shape}`) return target;
  return fail(KIND.BASE_SHAPE, {
    where: `tensor ${quoteName(tensor.name)}`,
    expected: `[${target.shape}] as in the base model`,
    actual: `[${tensor.shape}]`,
    advice: "Resized embeddings change the whole model: merge with the program that trained them.",
  });
}

function elementOf({ name, element }: Pick<StoredTensor, "name" | "element">): "F32" | "F16" | "BF16" {
  if (element === "F32" || element === "F16" || element === "BF16") return element;
  return fail(KIND.SOURCE_ELEMENT_TYPE, {
    where: `base tensor ${quoteName(name)}`,
    expected: "F32, F16 or BF16",
    actual: element,
    advice: "Convert the model to F32, F16 or BF16 first.",
  });
}

function weight(
  module: LoraModule,
  magnitude: PlainTensor | undefined,
  find: (name: string) => StoredTensor | undefined,
): Job {
  const target = find(module.name)!;
  const element = elementOf(target);
  return (bytes) => {
    const values = toFloat32({ element, data: bytes });
    addDelta(values, module);
    if (magnitude !== undefined) applyMagnitude(values, module, magnitude);
    return fromFloat32(values, element, `base tensor ${quoteName(target.name)}`);
  };
}

function replace(tensor: PlainTensor, { name, element }: StoredTensor): Job {
  return () => {
    if (tensor.element === element) return tensor.data;
    const where = `base tensor ${quoteName(name)}`;
    return fromFloat32(toFloat32(tensor, where), elementOf({ name, element }), where);
  };
}

function tokenRows(adapter: Adapter, rows: PlainTensor, target: StoredTensor): Job {
  const indices = withRole(adapter, "token-indices").get(rows.name)!;
  const element = elementOf(target);
  const [count, width] = target.shape as [number, number];
  const places = new DataView(indices.data.buffer, indices.data.byteOffset, indices.data.byteLength);
  const values = toFloat32(rows, `token rows of ${quoteName(rows.name)}`);
  return (bytes) => {
    const data = fromFloat32(values, element, `token rows of ${quoteName(rows.name)}`);
    const size = (data.length / values.length) * width;
    const result = bytes.slice();
    for (let i = 0; i * 4 < places.byteLength; i++) {
      const row = places.getUint32(4 * i, true);
      if (row >= count) {
        fail(KIND.BASE_SHAPE, {
          where: `token rows of ${quoteName(rows.name)}`,
          expected: `rows below ${count}`,
          actual: row,
        });
      }
      result.set(data.subarray(i * size, (i + 1) * size), row * size);
    }
    return result;
  };
}

function addBias(bias: PlainTensor, { multiplier }: LoraModule, target: StoredTensor): Job {
  const element = elementOf(target);
  const added = toFloat32(bias, `LoRA bias of module ${quoteName(bias.name)}`);
  return (bytes) => {
    const values = toFloat32({ element, data: bytes });
    for (let i = 0; i < values.length; i++) values[i] = values[i]! + multiplier * added[i]!;
    return fromFloat32(values, element, `base tensor ${quoteName(target.name)}`);
  };
}
