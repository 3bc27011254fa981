/**
 * The two factors of a module in a file: their shapes and weights, in each of the layouts that dialects use.
 *
 * - `rows`: A `[r, in, k…]`, B `[out, r, 1…]`. PEFT, kohya, diffusers, loralib. Flattened, this is LQA's own layout, so no
 *   weight moves.
 * - `columns`: A `[in, r]`, B `[r, out]`; for experts A `[E, r, in]`, B `[E, out, r]`. MLX and ONNX. A square layer also fits
 *   the other layout, so the dialect decides which one it is, never the shape.
 * - `stacked`: as `rows`, but without convolutions: three axes mean experts, as in `columns`; A of an embedding is
 *   `[vocabulary, r]`. GGUF.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { LoraModule, ModuleRole, ModuleShape } from "../model/adapter.ts";
import type { WriteOptions } from "./dialect.ts";
import { widenEightBits } from "./eight-bits.ts";
import { fromFloat32, isFactorElement, toFloat32, type WrittenElement } from "./elements.ts";
import { quoteName } from "./json.ts";
import type { SafeTensor, WrittenTensor } from "./safetensors.ts";

export type TensorLayout = "rows" | "columns" | "stacked";

/** A tensor and the key it was found under. */
export interface Found {
  readonly key: string;
  readonly tensor: SafeTensor;
}

/** The dimensions that a pair of factors determines. */
export type FactorShape = Pick<ModuleShape, "role" | "out" | "in" | "kernel" | "experts" | "rank">;

const CONVOLUTIONS: readonly ModuleRole[] = ["conv1d", "conv2d", "conv3d"];

/**
 * Derives the shape of a module from its factors.
 *
 * @param embedding the module is an embedding, so its factors have two axes
 * @throws LqaError SOURCE_ELEMENT_TYPE for factors that are not F32, F16 or BF16; SOURCE_SHAPE if they contradict each
 * other; UNSUPPORTED_ADAPTER_FEATURE for grouped convolutions
 */
export function factorShape(
  name: string,
  a: Found,
  b: Found,
  layout: TensorLayout,
  embedding = false,
): FactorShape {
  for (const { key, tensor } of [a, b]) {
    if (isFactorElement(tensor.element)) continue;
    const where = `tensor ${quoteName(key)}`;
    fail(KIND.SOURCE_ELEMENT_TYPE, { where, expected: "F32, F16 or BF16", actual: tensor.element });
  }
  const pair: [readonly number[], readonly number[]] = [a.tensor.shape, b.tensor.shape];
  const role = embedding ? "embedding" : undefined;
  if (layout === "columns") return columnShape(name, ...pair, role);
  if (layout === "rows") return rowShape(name, ...pair, role);
  if (pair[0].length === 3) return columnShape(name, ...pair, role);
  return rowShape(name, embedding ? [...pair[0]].reverse() : pair[0], pair[1], role);
}

function rowShape(
  name: string,
  a: readonly number[],
  b: readonly number[],
  role: ModuleRole | undefined,
): FactorShape {
  const axes = a.length;
  const fits = axes === b.length && axes >= 2 && axes <= (role === undefined ? 5 : 2);
  const bad = (): never => badShapes(name, "A [r, in, k…] and B [out, r, 1…], nothing empty", a, b);
  if (!fits || [...a, ...b].includes(0)) bad();
  const rank = a[0]!;
  if (b.slice(2).some((size) => size !== 1)) bad();
  if (b[1] !== rank) {
    if (axes > 2 && rank % b[1]! === 0) refuseGroups(name, rank / b[1]!);
    bad();
  }
  const usual = axes === 2 ? "linear" : CONVOLUTIONS[axes - 3]!;
  return { role: role ?? usual, out: b[0]!, in: a[1]!, kernel: a.slice(2), experts: 1, rank };
}

function columnShape(
  name: string,
  a: readonly number[],
  b: readonly number[],
  role: ModuleRole = "linear",
): FactorShape {
  const linear = a.length === 2 && b.length === 2 && a[1] === b[0];
  const experts = a.length === 3 && b.length === 3 && a[0] === b[0] && a[1] === b[2] && role === "linear";
  if ((!linear && !experts) || [...a, ...b].includes(0)) {
    const turned = a.length === 2 && b.length === 2 && a[0] === b[1];
    badShapes(
      name,
      "lora_a [in, r] and lora_b [r, out], or [E, r, in] and [E, out, r]",
      a,
      b,
      turned
        ? "The factors look transposed, as PEFT stores them: convert the file with the tool that wrote it."
        : undefined,
    );
  }
  return linear
    ? { role, out: b[1]!, in: a[0]!, kernel: [], experts: 1, rank: a[1]! }
    : { role, out: b[1]!, in: a[2]!, kernel: [], experts: a[0]!, rank: a[1]! };
}

/** A factor in LQA's layout: B `[experts][out][rank]`, A `[experts][rank][in · kernel]`. */
export function readFactor(
  { tensor }: Found,
  which: "a" | "b",
  { role }: Pick<FactorShape, "role">,
  layout: TensorLayout,
): Float32Array {
  const values = toFloat32(tensor);
  const [rows, columns] = tensor.shape as [number, number];
  return isTurned(which, role, layout, tensor.shape.length) ? transpose(values, rows, columns) : values;
}

/**
 * The tensor of a factor. Each access to its data decodes the module again.
 *
 * @throws LqaError SOURCE_RANGE, when the data is read, if a weight overflows `element`
 */
export function writeFactor<Element extends WrittenElement>(
  module: LoraModule,
  which: "a" | "b",
  element: Element,
  layout: TensorLayout,
  options: Pick<WriteOptions, "onRounded">,
): Omit<WrittenTensor, "element"> & { readonly element: Element } {
  const { rank, out, kernel, experts, role } = module;
  const one = which === "a" ? [rank, module.in, ...kernel] : [out, rank, ...kernel.map(() => 1)];
  const shape = experts > 1 ? [experts, ...one] : one;
  const [rows, columns] = one as [number, number];
  const turned = isTurned(which, role, layout, shape.length);
  return {
    element,
    shape: turned ? [columns, rows] : shape,
    get data() {
      return factorBytes(module, which, element, options, (values) =>
        turned ? transpose(values, rows, columns) : values,
      );
    },
  };
}

/**
 * Converts the weights of a factor to the bytes of a tensor.
 *
 * @param arrange reorders the weights from LQA's layout to the tensor's
 * @throws LqaError SOURCE_RANGE if one overflows `element`
 */
export function factorBytes(
  module: LoraModule,
  which: "a" | "b",
  element: WrittenElement,
  { onRounded }: Pick<WriteOptions, "onRounded">,
  arrange: (values: Float32Array) => Float32Array,
): Uint8Array {
  const values = module[which];
  const arranged = arrange(values);
  const where = `factor ${which.toUpperCase()} of module ${quoteName(module.name)}`;
  const data = fromFloat32(arranged, element, where);
  if (element !== "F32" && onRounded !== undefined) {
    const own = arranged === values ? data : fromFloat32(values, element, where);
    const rounded =
      element === "F8_E4M3"
        ? toFloat32({ element: "F16", data: widenEightBits(own, element) })
        : toFloat32({ element, data: own });
    onRounded(module, which, element, values, rounded);
  }
  return data;
}

/** Whether the layout stores a factor transposed. */
function isTurned(which: "a" | "b", role: ModuleRole, layout: TensorLayout, axes: number): boolean {
  if (axes !== 2) return false;
  return layout === "columns" || (layout === "stacked" && which === "a" && role === "embedding");
}

/** The transpose of a matrix of `rows` × `columns`, row-major. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      turned[column * rows + row] = values[row * columns + column]!;
    }
  }
  return turned;
}

function badShapes(
  name: string,
  expected: string,
  a: readonly number[],
  b: readonly number[],
  advice?: string,
): never {
  return fail(KIND.SOURCE_SHAPE, {
    where: `module ${quoteName(name)}`,
    expected,
    actual: `A [${a}] and B [${b}]`,
    advice,
  });
}

/** PEFT gives B the groups of the base layer but A all input channels, so ΔW is not a product per group. */
function refuseGroups(name: string, groups: number): never {
  return fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
    where: `module ${quoteName(name)}`,
    expected: "a convolution without groups",
    actual: `a grouped convolution (${groups} groups)`,
  });
}
