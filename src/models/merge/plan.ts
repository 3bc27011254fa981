/**
 * Plans a merge: a job for each tensor of a base model that the adapter changes.
 *
 * @module
 */
import { fromFloat32, readIndices, toFloat32, toFloat64 } from "../../adapters/elements.ts";
import { quoteName } from "../../adapters/json.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Adapter, LoraModule, PlainTensor } from "../../model/adapter.ts";
import { baseFinder, checkBaseShape } from "../../model/base-shape.ts";
import type { Model, StoredTensor } from "../extract/model.ts";
import { adaptBias, adaptWeight } from "./weights.ts";

/**
 * Makes a tensor's new bytes from its old ones; both have the base's element type and shape.
 *
 * @throws LqaError SOURCE_NONFINITE, SOURCE_RANGE; BASE_SHAPE for a token index beyond the base weight; SOURCE_ELEMENT_TYPE
 * if it must convert a tensor to an element type other than F32, F16 or BF16
 */
export type Job = (bytes: Uint8Array) => Uint8Array;

type Finder = ReturnType<typeof baseFinder<StoredTensor>>;

/**
 * The jobs of an adapter, by base tensor, in the order of spec clause 9.6.
 *
 * @throws LqaError BASE_MODULE_MISSING, BASE_SHAPE if the adapter does not fit; SOURCE_ELEMENT_TYPE for a base tensor that
 * is not F32, F16 or BF16; UNSUPPORTED_ADAPTER_FEATURE for a LoRA bias of a layer without bias
 */
export function planMerge(adapter: Adapter, model: Model): Map<string, Job> {
  const find = baseFinder(adapter.modules, (name) => model.get(name));
  const jobs = new Map<string, Job>();
  const add = (tensor: StoredTensor, job: Job): void => {
    const other = jobs.get(tensor.name);
    jobs.set(tensor.name, other === undefined ? job : (bytes) => job(other(bytes)));
  };
  const withRole = (role: PlainTensor["role"]): Map<string, PlainTensor> =>
    new Map(adapter.tensors.filter((tensor) => tensor.role === role).map((tensor) => [tensor.name, tensor]));
  for (const tensor of [...withRole("replace").values(), ...withRole("bias").values()]) {
    const target = replaced(find, tensor);
    add(target, replace(tensor, target));
  }
  const magnitudes = withRole("magnitude");
  const biases = withRole("lora-bias");
  const adapted = new Map<StoredTensor, string>();
  for (const module of adapter.modules) {
    const target = find.weight(module.name);
    checkBaseShape(module, target?.shape);
    add(target!, weight(module, magnitudes.get(module.name), target!));
    checkAdaptedOnce(module, target!, adapted);
    const bias = biases.get(module.name);
    if (bias !== undefined) {
      const target = find.tensor(`${module.name}.bias`);
      add(checkBias(bias, module, target), addBias(bias, module, target!));
    }
  }
  const indices = withRole("token-indices");
  for (const [name, rows] of withRole("token-rows")) {
    const target = find.weight(name) ?? missing(name);
    add(target, tokenRows(rows, indices.get(name)!, target));
  }
  return jobs;
}

function missing(name: string): never {
  return fail(KIND.BASE_MODULE_MISSING, { where: `tensor ${quoteName(name)}`, expected: "a base tensor" });
}

/** Refuses two modules that adapt one base weight: `P` and `P.weight` both find it. */
function checkAdaptedOnce(
  { name }: LoraModule,
  target: StoredTensor,
  adapted: Map<StoredTensor, string>,
): void {
  const other = adapted.get(target);
  if (other !== undefined)
    fail(KIND.BASE_MODULE_MISSING, {
      where: `module ${quoteName(name)}`,
      expected: "a base weight of its own",
      actual: `the one of module ${quoteName(other)}`,
    });
  adapted.set(target, name);
}

/** The base tensor that a plain tensor replaces. */
function replaced(find: Finder, tensor: PlainTensor): StoredTensor {
  const target = find.tensor(tensor.name) ?? missing(tensor.name);
  if (sameShape(target.shape, tensor.shape)) return target;
  return fail(KIND.BASE_SHAPE, {
    where: `tensor ${quoteName(tensor.name)}`,
    expected: `[${target.shape}] as in the base model`,
    actual: `[${tensor.shape}]`,
    advice: "Resized embeddings change the whole model: merge with the program that trained them.",
  });
}

const sameShape = (x: readonly number[], y: readonly number[]): boolean =>
  x.length === y.length && x.every((size, i) => size === y[i]);

function checkBias(bias: PlainTensor, module: LoraModule, target: StoredTensor | undefined): StoredTensor {
  const where = `LoRA bias of module ${quoteName(bias.name)}`;
  if (target === undefined)
    return fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
      where,
      expected: "a layer with a bias, to add it to",
      actual: "none in the base model",
    });
  const shape = module.experts === 1 ? [module.out] : [module.experts, module.out];
  if (sameShape(target.shape, shape)) return target;
  return fail(KIND.BASE_SHAPE, { where, expected: `a bias of [${shape}]`, actual: `[${target.shape}]` });
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

function weight(module: LoraModule, magnitude: PlainTensor | undefined, target: StoredTensor): Job {
  const element = elementOf(target);
  const where = `base tensor ${quoteName(target.name)}`;
  return (bytes) => {
    const values = toFloat32({ element, data: bytes });
    adaptWeight(values, module, magnitude, where);
    return fromFloat32(values, element, where);
  };
}

function replace(tensor: PlainTensor, { name, element }: StoredTensor): Job {
  return () => {
    if (tensor.element === element) return tensor.data;
    return converted(tensor, elementOf({ name, element }), `base tensor ${quoteName(name)}`);
  };
}

/** The values of a float tensor, in another element type. */
function converted(tensor: PlainTensor, element: "F32" | "F16" | "BF16", where: string): Uint8Array {
  if (tensor.element !== "F64") return fromFloat32(toFloat32(tensor, where), element, where);
  const values = toFloat64(tensor, where);
  const narrow = Float32Array.from(values);
  const at = narrow.findIndex((value, i) => !Number.isFinite(value) && Number.isFinite(values[i]));
  if (at >= 0)
    fail(KIND.SOURCE_RANGE, { where, expected: `a value that ${element} can hold`, actual: values[at] });
  return fromFloat32(narrow, element, where);
}

function tokenRows(rows: PlainTensor, indices: PlainTensor, target: StoredTensor): Job {
  const where = `token rows of ${quoteName(rows.name)}`;
  const element = elementOf(target);
  const [count = 0, width = 0] = target.shape;
  if (target.shape.length !== 2 || width !== rows.shape[1])
    fail(KIND.BASE_SHAPE, {
      where,
      expected: `a base weight with rows of ${rows.shape[1]}`,
      actual: `[${target.shape}]`,
    });
  return (bytes) => {
    const data = converted(rows, element, where);
    const result = bytes.slice();
    const size = bytes.length / count;
    for (const [i, row] of readIndices(indices).entries()) {
      if (row >= count) fail(KIND.BASE_SHAPE, { where, expected: `rows below ${count}`, actual: row });
      result.set(data.subarray(i * size, (i + 1) * size), row * size);
    }
    return result;
  };
}

function addBias(bias: PlainTensor, { multiplier }: LoraModule, target: StoredTensor): Job {
  const element = elementOf(target);
  const where = `base tensor ${quoteName(target.name)}`;
  return (bytes) => {
    const values = toFloat32({ element, data: bytes });
    adaptBias(values, bias, multiplier, where);
    return fromFloat32(values, element, where);
  };
}
