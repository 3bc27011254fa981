/**
 * Alpha stored as a tensor of one number: how kohya's and LyCORIS's files state the multiplier.
 *
 * kohya's rule: multiplier = alpha / r, where r is the first axis of `lora_down`; an alpha of 0 counts as r. The tensor
 * has the element type that the file was saved in, so an F16 alpha is either exact or was rounded before.
 *
 * @module
 */

import { equalBytes } from "../common/bytes.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "../floats.ts";
import { ELEMENT_BYTES, type ElementType, type LoraModule } from "../model/adapter.ts";
import type { Found } from "./factors.ts";
import { quoteName } from "./json.ts";
import type { SafeTensor } from "./safetensors.ts";
import type { Scale } from "./state-dict/convention.ts";

interface NumberType {
  get(view: DataView): number;
  set(view: DataView, value: number): void;
}

const TYPES: Partial<Record<ElementType, NumberType>> = {
  F64: { get: (v) => v.getFloat64(0, true), set: (v, x) => v.setFloat64(0, x, true) },
  F32: { get: (v) => v.getFloat32(0, true), set: (v, x) => v.setFloat32(0, x, true) },
  F16: { get: (v) => f16ToNumber(v.getUint16(0, true)), set: (v, x) => v.setUint16(0, numberToF16(x), true) },
  BF16: {
    get: (v) => bf16ToNumber(v.getUint16(0, true)),
    set: (v, x) => v.setUint16(0, numberToBf16(x), true),
  },
  I64: {
    get: (v) => Number(v.getBigInt64(0, true)),
    set: (v, x) => v.setBigInt64(0, BigInt(Math.round(x)), true),
  },
  I32: { get: (v) => v.getInt32(0, true), set: (v, x) => v.setInt32(0, x, true) },
};

/** The scale that an alpha gives. Its rule is `alpha/r` if alpha as f32, divided by the rank, gives the same multiplier. */
export function scaleByAlpha(alpha: number, rank: number): Scale {
  const multiplier = Math.fround(alpha / rank);
  const stored = Math.fround(alpha);
  const follows = Math.fround(stored / rank) === multiplier;
  return { multiplier, alpha: stored + 0, rule: follows ? "alpha/r" : "explicit" };
}

/** The multiplier of a layer whose dialect has no alpha: 1. */
export const UNSCALED: Scale = { multiplier: 1, alpha: 0, rule: "none" };

/**
 * The scale that a module's own alpha tensor gives.
 *
 * @throws LqaError SOURCE_SHAPE if it is not one number, SOURCE_ELEMENT_TYPE, SOURCE_CONFIG if it is not finite
 */
export function readAlpha(
  name: string,
  { key, tensor }: Found,
  rank: number,
  onNote: ((note: string) => void) | undefined,
): Scale {
  const where = `tensor ${quoteName(key)}`;
  const { element, shape, data } = tensor;
  const type = TYPES[element];
  if (type === undefined) {
    const expected = Object.keys(TYPES).join(", ");
    return fail(KIND.SOURCE_ELEMENT_TYPE, { where, expected, actual: element });
  }
  if (data.length !== ELEMENT_BYTES[element]) {
    fail(KIND.SOURCE_SHAPE, { where, expected: "one number", actual: `[${shape}]` });
  }
  const alpha = type.get(viewOf(data));
  if (!Number.isFinite(Math.fround(alpha))) {
    fail(KIND.SOURCE_CONFIG, { where, expected: "a number that binary32 can hold", actual: alpha });
  }
  if (alpha !== 0) return scaleByAlpha(alpha, rank);
  onNote?.(`Module ${quoteName(name)} has an alpha of 0, which counts as its rank: the multiplier is 1.`);
  return UNSCALED;
}

/** How a file stores an alpha: the element type, and the shape as text (`""` for a number without axes). */
export interface AlphaForm {
  readonly element: string;
  readonly shape: string;
}

/**
 * The alpha of a module as a tensor: the number that, divided by the module's rank, gives its multiplier.
 *
 * @param form element type and shape; from an origin record, so it may be wrong
 * @param zero writes a multiplier of 1 without an alpha as 0 rather than as the rank
 * @throws LqaError UNSUPPORTED_DIALECT if the form is not a known element type with one element
 */
export function alphaTensor(module: LoraModule, form: AlphaForm, zero = false): SafeTensor {
  const { rule, alpha, multiplier, rank } = module;
  const value = rule === "alpha/r" ? alpha : rule === "none" ? (zero ? 0 : rank) : multiplier * rank;
  const type = TYPES[form.element as ElementType];
  const shape = form.shape === "" ? [] : form.shape.split(",").map(Number);
  if (type === undefined || shape.some((size) => size !== 1)) {
    return fail(KIND.UNSUPPORTED_DIALECT, {
      where: `the alpha of module ${quoteName(module.name)}`,
      expected: "one number",
      actual: `${form.element} [${form.shape}]`,
    });
  }
  const tensor = store(form.element as ElementType, type, shape, value);
  // F32, if the element type of the form would round the number and so change the multiplier.
  return type.get(viewOf(tensor.data)) === value ? tensor : store("F32", TYPES.F32!, shape, value);
}

function store(element: ElementType, type: NumberType, shape: number[], value: number): SafeTensor {
  const data = new Uint8Array(ELEMENT_BYTES[element]);
  type.set(viewOf(data), value);
  return { element, shape, data };
}

/** True if the usual form (`element`, without axes) reproduces this tensor bit for bit. */
export function reproducedAlpha(module: LoraModule, tensor: SafeTensor, element: ElementType): boolean {
  if (module.rule === "none" || tensor.shape.length > 0 || tensor.element !== element) return false;
  const again = alphaTensor(module, { element, shape: "" });
  return again.element === element && equalBytes(again.data, tensor.data);
}

function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
