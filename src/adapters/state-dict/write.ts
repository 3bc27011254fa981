/**
 * Makes the tensors of an adapter by a convention, for any container.
 *
 * An adapter that came from this dialect gets the same keys, element types, order and plain tensors back.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Adapter, LoraModule, Origin, PlainTensor } from "../../model/adapter.ts";
import type { FileContent } from "../../model/content.ts";
import { alphaTensor } from "../alpha.ts";
import { foldMultipliers } from "../bake.ts";
import type { WriteOptions } from "../dialect.ts";
import { writeFactor } from "../factors.ts";
import { quoteName } from "../json.ts";
import {
  elementsOf,
  type FileOrigin,
  keptOrder,
  newFileOrigin,
  originMap,
  originRows,
  originString,
  unpackFileOrigin,
} from "../origin.ts";
import { libraryOrder, type SafeTensor, safetensorsContent } from "../safetensors.ts";
import type { Convention, Part } from "./convention.ts";

/** The tensors of an adapter, ready for a file. */
export interface WrittenTensors {
  /** File name, with the ending of the source. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  /** All keys, in the order of the source or in that of the safetensors library. */
  readonly order: readonly string[];
  readonly metadata: ReadonlyMap<string, string> | undefined;
}

/** Puts tensors into a safetensors file: name and content. A name from another container gets the ending `.safetensors`. */
export function safetensorsFile({ name, tensors, order, metadata }: WrittenTensors): [string, FileContent] {
  return [
    name.replace(/\.(npz|bin|pt|pth|ckpt)$/, ".safetensors"),
    safetensorsContent(tensors, { metadata, order }),
  ];
}

/**
 * Makes the tensors of an adapter.
 *
 * @throws LqaError UNSUPPORTED_DIALECT for plain tensors that the convention cannot express, and for two modules
 * with one key; SOURCE_RANGE if a factor overflows its element type
 */
export function writeStateDict(
  source: Adapter,
  convention: Convention,
  options: WriteOptions,
): WrittenTensors {
  const packed = source.origin?.dialect === convention.name ? source.origin : undefined;
  const origin: FileOrigin =
    packed === undefined ? newFileOrigin(convention.metadata) : unpackFileOrigin(packed);
  const styles = packed === undefined ? new Map<string, string>() : originMap(packed, "styles");
  const alphas = alphasOf(packed);
  const unsaid = differs(convention);
  const adapter =
    convention.alphas === true
      ? source
      : foldMultipliers(source, options, (module) => !alphas.has(module.name) && unsaid(module));
  const tensors = new Map<string, SafeTensor>();
  const add = (usual: string, tensor: SafeTensor): void => {
    const key = origin.keys.get(usual) ?? usual;
    if (tensors.has(key)) {
      const where = `tensor ${quoteName(key)}`;
      fail(KIND.UNSUPPORTED_DIALECT, { where, expected: "one tensor", actual: "two" });
    }
    tensors.set(key, tensor);
  };
  const styleOf = (name: string): string | undefined => styles.get(convention.scope?.(name) ?? "");
  noteLayout(adapter, convention, options);
  for (const module of adapter.modules) {
    refuseUnsayable(module, convention);
    const key = (part: Part): string => convention.key(module, part, styleOf(module.name));
    const [b, a] = elementsOf(module, options);
    add(key("b"), writeFactor(module, "b", b, convention.layout, options));
    add(key("a"), writeFactor(module, "a", a, convention.layout, options));
    const alpha = alphas.get(module.name);
    const usually = convention.alphas === true && (module.rule !== "none" || packed === undefined);
    if (alpha !== undefined || usually) {
      const usual = { element: packed === undefined ? "F32" : origin.element, shape: "" };
      add(key("alpha"), alphaTensor(module, alpha ?? usual, alpha !== undefined));
    }
  }
  const modules = new Map(adapter.modules.map((module) => [module.name, module]));
  for (const tensor of sayableTensors(adapter, convention, packed !== undefined, options)) {
    const { name, role, element, shape, data } = tensor;
    const module = role === "magnitude" || role === "lora-bias" ? modules.get(name) : undefined;
    if (module === undefined) add(name, { element, shape, data });
    else
      add(convention.key(module, role as Part, styleOf(name)), {
        element,
        shape: shapeIn(tensor, module, convention, packed !== undefined),
        data,
      });
  }
  return {
    name: fileNameOf(packed, convention),
    tensors,
    order: keptOrder(origin, tensors) ?? libraryOrder(tensors),
    metadata: origin.metadata,
  };
}

/** Element type and shape of the alphas that the source had, by module. */
function alphasOf(
  packed: Origin | undefined,
): ReadonlyMap<string, { readonly element: string; readonly shape: string }> {
  const rows = packed === undefined ? [] : originRows(packed, "alphas", 3);
  return new Map(rows.map(([name, element, shape]) => [name!, { element: element!, shape: shape! }]));
}

function fileNameOf(packed: Origin | undefined, convention: Convention): string {
  const name = (packed && originString(packed, "file")) ?? convention.file;
  // The record is untrusted: the name must be a plain file name.
  if (!/^[^/\\\0]+$/.test(name) || /^\.+$/.test(name))
    fail(KIND.UNSUPPORTED_DIALECT, { where: 'origin record field "file"', expected: "a plain file name" });
  return name;
}

/** Refuses experts in a layout without a third axis, and embeddings that readers, which go by the name, would not recognize. */
function refuseUnsayable({ name, role, experts }: LoraModule, convention: Convention): void {
  const embedding = convention.isEmbedding?.(name) === true;
  const refused =
    experts > 1 && convention.layout === "rows"
      ? [`one weight for each layer in ${convention.name}`, `${experts} experts`]
      : (role === "embedding") !== embedding
        ? [
            `a layer that ${convention.name} takes for what it is`,
            embedding ? `${role} with an embedding's name` : role,
          ]
        : undefined;
  if (refused === undefined) return;
  const [expected, actual] = refused;
  fail(KIND.UNSUPPORTED_DIALECT, { where: `module ${quoteName(name)}`, expected, actual });
}

/** Notes that these dialects do not state how the base stores its weights. Layers compute the same; merging depends on it. */
function noteLayout({ modules }: Adapter, { name }: Convention, { onNote }: WriteOptions): void {
  const turned = modules.filter(
    ({ role, baseLayout }) => role === "linear" && baseLayout === "in-out",
  ).length;
  if (turned === 0) return;
  onNote?.(
    `The base model stores the weights of ${turned} modules as (in, out), which ${name} files do not say: what the layers compute is the same, but do not merge such a file.`,
  );
}

/** True for modules whose multiplier is not the one that this convention's files would give them. */
function differs(convention: Convention): (module: LoraModule) => boolean {
  return ({ name, rank, multiplier }) => {
    const said = convention.scale(name, rank).multiplier;
    if (said === multiplier) return false;
    if (said === 1) return true;
    return fail(KIND.UNSUPPORTED_DIALECT, {
      where: `the multiplier of module ${quoteName(name)}`,
      expected: `${said} by the configuration it came with`,
      actual: multiplier,
    });
  };
}

/** The plain tensors that a convention can express. Tensors carried from another dialect are dropped, with a note. */
export function sayableTensors(
  { tensors }: Adapter,
  { name: dialect, roles }: Pick<Convention, "name" | "roles">,
  own: boolean,
  { onNote }: WriteOptions,
): PlainTensor[] {
  const isLeft = ({ role }: PlainTensor): boolean => !own && role === "carried";
  const left = tensors.filter(isLeft);
  if (left.length > 0) {
    onNote?.(
      `${left.length} tensors that belong to the source file but not to the maths are left out, the first ${quoteName(left[0]!.name)}.`,
    );
  }
  const sayable = tensors.filter((tensor) => !isLeft(tensor));
  for (const { role, name } of sayable) {
    if (role === "carried" || roles.includes(role)) continue;
    fail(KIND.UNSUPPORTED_DIALECT, {
      where: `tensor ${quoteName(name)}`,
      expected: `nothing that ${dialect} has no place for`,
      actual: `a ${role} tensor`,
      advice: "Write a PEFT directory, or merge the adapter into its base model with PEFT: merge_and_unload.",
    });
  }
  return sayable;
}

function shapeIn(
  tensor: PlainTensor,
  module: LoraModule,
  convention: Convention,
  own: boolean,
): readonly number[] {
  if (own || tensor.role !== "magnitude" || convention.magnitudeShape === undefined) return tensor.shape;
  const shape = convention.magnitudeShape(module, tensor.axis);
  if (shape !== undefined) return shape;
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: `the magnitude of module ${quoteName(module.name)}`,
    expected: `one that ${convention.name} can say: a number for each output`,
    actual: "a number for each input",
  });
}
