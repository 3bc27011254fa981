/**
 * Reads a table of tensors by its convention: pairs of factors, scales, plain tensors, and the origin record.
 *
 * Every tensor becomes part of the adapter or is an error.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import {
  type Adapter,
  type LoraModule,
  lazyModule,
  type Origin,
  type PlainTensor,
} from "../../model/adapter.ts";
import { readAlpha, reproducedAlpha } from "../alpha.ts";
import type { ReadSettings } from "../dialect.ts";
import type { FactorElement } from "../elements.ts";
import { type Found, factorShape, readFactor } from "../factors.ts";
import { quoteName } from "../json.ts";
import { commonest, describeElements, packFileOrigin, packRows, unusualOrder } from "../origin.ts";
import { type OtherMethod, otherMethod } from "../other-methods.ts";
import type { TensorFile } from "../tensor-file.ts";
import type { Convention, Part } from "./convention.ts";

interface FoundModule {
  readonly name: string;
  readonly parts: Map<Part, Found>;
  readonly styles: string[];
}

/**
 * Reads a table of tensors.
 *
 * @param extra fields that the dialect adds to the origin record
 * @throws LqaError SOURCE_UNKNOWN_TENSOR for a key outside the convention, or a second tensor for one place;
 * UNSUPPORTED_ADAPTER_FEATURE for tensors of other methods, unless they are carried; SOURCE_UNPAIRED_FACTOR;
 * SOURCE_ELEMENT_TYPE and SOURCE_SHAPE; SOURCE_CONFIG for an alpha that is not finite
 */
export function readStateDict(
  file: TensorFile,
  name: string,
  convention: Convention,
  settings: ReadSettings,
  extra: { readonly [key: string]: Uint8Array | string } = {},
): Adapter {
  const { modules: found, tensors } = sortKeys(file, convention, settings);
  const modules = [...found.values()].map((each) => buildModule(each, convention, settings));
  if (modules.length === 0) {
    fail(KIND.SOURCE_UNPAIRED_FACTOR, {
      where: "the weights",
      expected: "at least one module",
      actual: "none",
    });
  }
  const without = [...found.values()].filter(({ parts }) => !parts.has("alpha")).length;
  if (convention.alphas === true && without > 0) {
    settings.onNote?.(
      `${without} of ${modules.length} modules have no alpha, which counts as their rank: the multiplier is 1.`,
    );
  }
  const plain = [...found.values()].flatMap((each, i) => moduleTensors(each, modules[i]!, convention));
  const origin = {
    ...describeFile(file, found, modules, convention),
    ...(name === convention.file ? {} : { file: name }),
    ...extra,
  };
  return { modules, tensors: [...plain, ...tensors], origin, meta: { source: convention.name } };
}

function sortKeys(
  file: TensorFile,
  convention: Convention,
  settings: ReadSettings,
): { modules: Map<string, FoundModule>; tensors: PlainTensor[] } {
  const modules = new Map<string, FoundModule>();
  const tensors: PlainTensor[] = [];
  const unsupported: Found[] = [];
  for (const [key, tensor] of file.tensors) {
    const meaning = convention.parse(key, tensor);
    if (meaning?.kind === "beside") {
      unsupported.push({ key, tensor });
    } else if (meaning === undefined || meaning.kind === "unsupported") {
      if (settings.keepUnsupported !== true) refuseKey(key, meaning?.method, convention);
      unsupported.push({ key, tensor });
    } else if (meaning.kind === "tensor") {
      tensors.push({ name: meaning.name, role: meaning.role, axis: 0, ...tensor });
    } else {
      const { module: name, part, style } = meaning;
      const module: FoundModule = modules.get(name) ?? { name, parts: new Map(), styles: [] };
      const other = module.parts.get(part);
      if (other !== undefined) {
        const expected = `one tensor for this place (the other is ${quoteName(other.key)})`;
        fail(KIND.SOURCE_UNKNOWN_TENSOR, { where: `tensor ${quoteName(key)}`, expected });
      }
      module.parts.set(part, { key, tensor });
      if (style !== undefined) module.styles.push(style);
      modules.set(name, module);
    }
  }
  if (unsupported.length > 0) tensors.push(...carried(unsupported, modules, settings));
  return { modules, tensors };
}

/**
 * Makes carried tensors of the tensors of other methods. Moves the alphas of their modules from `modules` to these.
 *
 * @throws LqaError UNSUPPORTED_ADAPTER_FEATURE for a tensor without which the factors of its module are wrong
 */
function carried(
  unsupported: readonly Found[],
  modules: Map<string, FoundModule>,
  { onNote }: ReadSettings,
): PlainTensor[] {
  const paths = new Map<string, OtherMethod>();
  const kept = new Set<string>();
  for (const { key } of unsupported) {
    const method = otherMethod(key);
    kept.add(method?.name ?? "unknown tensors");
    if (method !== undefined && paths.get(method.path)?.inFactors !== true) paths.set(method.path, method);
  }
  const all = [...unsupported];
  for (const [name, { parts }] of modules) {
    const found = [...parts.values()];
    const methods = found.map(({ key }) => methodAt(key, paths));
    if (parts.has("a") || parts.has("b")) {
      const altered = methods.find((method) => method?.inFactors === true);
      if (altered !== undefined) refuseFactors(name, altered.name);
    } else if (methods.every((method) => method !== undefined)) {
      all.push(...found);
      modules.delete(name);
    }
  }
  onNote?.(`Carried, without a part in the maths: ${[...kept].join(", ")}.`);
  return all.map(({ key, tensor }) => ({ name: key, role: "carried", axis: 0, ...tensor }));
}

/** The other method at the path that a key begins with. Tries four dots from the end: no part's name has more. */
function methodAt(key: string, paths: ReadonlyMap<string, OtherMethod>): OtherMethod | undefined {
  let dot = key.length;
  for (let dots = 0; dots < 4 && dot > 0; dots++) {
    dot = key.lastIndexOf(".", dot - 1);
    const method = dot < 0 ? undefined : paths.get(key.slice(0, dot));
    if (method !== undefined) return method;
  }
  return undefined;
}

function refuseFactors(module: string, method: string): never {
  return fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
    where: `module ${quoteName(module)}`,
    expected: "factors whose product is the change of the weights",
    actual: method,
    advice:
      "Keep this adapter in its source format: carried along, these tensors would be missing from the product.",
  });
}

function refuseKey(key: string, method: OtherMethod | undefined, convention: Convention): never {
  const where = `tensor ${quoteName(key)}`;
  if (method === undefined)
    return fail(KIND.SOURCE_UNKNOWN_TENSOR, { where, expected: `a key of ${convention.name}` });
  return fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
    summary: `Parts of this adapter are not LoRA but ${method.name}.`,
    where,
    advice: method.inFactors
      ? "Keep this adapter in its source format."
      : "Keep this adapter in its source format, or carry such tensors along unchanged, without a part in what lqa computes: --keep-unsupported.",
  });
}

function buildModule(found: FoundModule, convention: Convention, settings: ReadSettings): LoraModule {
  const { a, b } = pair(found);
  const { name, parts } = found;
  const { layout } = convention;
  const shape = factorShape(name, a, b, layout, convention.isEmbedding?.(name));
  const alpha = parts.get("alpha");
  const scale =
    alpha === undefined
      ? convention.scale(name, shape.rank)
      : readAlpha(name, alpha, shape.rank, settings.onNote);
  const baseLayout = shape.role === "embedding" ? "in-out" : "out-in";
  return lazyModule(
    { name, ...shape, baseLayout, ...scale },
    () => readFactor(b, "b", shape, layout),
    () => readFactor(a, "a", shape, layout),
  );
}

function pair({ name, parts }: FoundModule): { a: Found; b: Found } {
  const a = parts.get("a");
  const b = parts.get("b");
  if (a !== undefined && b !== undefined) return { a, b };
  return fail(KIND.SOURCE_UNPAIRED_FACTOR, {
    where: `module ${quoteName(name)}`,
    expected: "one A and one B factor",
    actual: [...parts.keys()].join(", "),
  });
}

/** The plain tensors of a module. */
function moduleTensors(
  { name, parts }: FoundModule,
  module: LoraModule,
  convention: Convention,
): PlainTensor[] {
  const result: PlainTensor[] = [];
  const magnitude = parts.get("magnitude");
  if (magnitude !== undefined) {
    const axis = magnitudeAxis(magnitude, module, convention);
    result.push({ name, role: "magnitude", axis, ...magnitude.tensor });
  }
  const bias = parts.get("lora-bias");
  if (bias !== undefined) result.push({ name, role: "lora-bias", axis: 0, ...bias.tensor });
  return result;
}

/**
 * The axis of the base weight along which a magnitude has its numbers: the outputs, or, in older files of LyCORIS, the inputs.
 * Only its shape tells, and for a square convolution only together with the convention.
 */
function magnitudeAxis({ key, tensor }: Found, module: LoraModule, convention: Convention): 0 | 1 {
  const { shape, element } = tensor;
  const [outputs, inputs]: readonly [0 | 1, 0 | 1] = module.baseLayout === "out-in" ? [0, 1] : [1, 0];
  const usual = (axis: number): boolean => {
    const expected = convention.magnitudeShape?.(module, axis);
    return expected !== undefined && `${trimmed(expected)}` === `${trimmed(shape)}`;
  };
  const at = shape.findIndex((size) => size !== 1);
  const length = shape.reduce((product, size) => product * size, 1);
  if (/^B?F(16|32)$/.test(element)) {
    if (usual(outputs)) return outputs;
    if (usual(inputs)) return inputs;
    if (length === module.out && (at <= 0 || module.kernel.length > 0)) return outputs;
    if (length === module.in && at === 1) return inputs;
  }
  return fail(KIND.SOURCE_SHAPE, {
    where: `tensor ${quoteName(key)}`,
    expected: `floats, ${module.out} of outputs or [1, ${module.in}] of inputs`,
    actual: `${element} [${shape}]`,
  });
}

/** A shape without its trailing ones. */
function trimmed(shape: readonly number[]): readonly number[] {
  return shape.slice(0, shape.findLastIndex((size) => size !== 1) + 1);
}

/** The origin record: styles, alphas and exceptions. */
function describeFile(
  file: TensorFile,
  found: ReadonlyMap<string, FoundModule>,
  modules: readonly LoraModule[],
  convention: Convention,
): Origin {
  const scoped = new Map<string, string[]>();
  for (const { name, styles } of found.values()) {
    const scope = convention.scope?.(name) ?? "";
    const all = scoped.get(scope) ?? [];
    all.push(...styles);
    scoped.set(scope, all);
  }
  const styles = new Map([...scoped].map(([scope, all]) => [scope, commonest(all) ?? ""]));
  const keys = new Map<string, string>();
  const alphas: string[][] = [];
  const types = modules.map((module): [string, [FactorElement, FactorElement]] => {
    const { parts } = found.get(module.name)!;
    const style = styles.get(convention.scope?.(module.name) ?? "");
    for (const [part, { key }] of parts) {
      const usual = convention.key(module, part, style);
      if (usual !== key) keys.set(usual, key);
    }
    const element = (part: "a" | "b"): FactorElement => parts.get(part)!.tensor.element as FactorElement;
    return [module.name, [element("b"), element("a")]];
  });
  const { element, elements } = describeElements(types);
  for (const module of modules) {
    const alpha = found.get(module.name)!.parts.get("alpha")?.tensor;
    if (alpha === undefined) continue;
    if (convention.alphas !== true || !reproducedAlpha(module, alpha, element)) {
      alphas.push([module.name, alpha.element, alpha.shape.join(",")]);
    }
  }
  const order = unusualOrder(file.tensors);
  const packed = packFileOrigin(convention.name, { metadata: file.metadata, element, elements, keys, order });
  if (convention.scope !== undefined || [...styles.values()].some((style) => style !== "")) {
    packed.styles = packRows(styles);
  }
  if (alphas.length > 0) packed.alphas = alphas;
  return packed;
}
