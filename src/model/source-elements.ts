/**
 * The element types that plain tensors had before an encoder rounded them to F16, as the ORIG section stores them (spec
 * clause 10.3).
 *
 * Two keys, the same in every dialect: `tensor_element`, the original type of tensors stored as F16; `tensor_elements`,
 * exceptions as [role, name, type]. A file without rounded tensors has neither.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { ElementType, MetaValue, Origin, PlainTensor } from "./adapter.ts";

/** Float types a tensor stored as F16 can have had. */
export type FloatElement = Extract<ElementType, "F64" | "F32" | "BF16" | "F16">;

const FLOATS: readonly FloatElement[] = ["F32", "F16", "BF16", "F64"];

type Identity = Pick<PlainTensor, "role" | "name">;

/**
 * The origin record with the types of all tensors that are stored as F16.
 *
 * @param tensors those tensors, with the types they had
 */
export function recordSourceElements(
  origin: Origin,
  tensors: readonly (Identity & { readonly source: FloatElement })[],
): Origin {
  const { tensor_element: _usual, tensor_elements: _exceptions, ...rest } = origin;
  const having = (element: FloatElement): number => tensors.filter(({ source }) => source === element).length;
  // The result must not depend on the order of the source: among equally common types the first one in the list wins.
  const usual = FLOATS.reduce((best, element) => (having(element) > having(best) ? element : best));
  const exceptions = tensors
    .filter(({ source }) => source !== usual)
    .map(({ role, name, source }) => [role, name, source])
    .sort((x, y) => (x.join(" ") < y.join(" ") ? -1 : 1));
  return {
    ...rest,
    ...(tensors.length === 0 || usual === "F16" ? {} : { tensor_element: usual }),
    ...(exceptions.length === 0 ? {} : { tensor_elements: exceptions }),
  };
}

/**
 * The types that an origin record gives to tensors stored as F16; F16 if it gives none.
 *
 * @throws LqaError UNSUPPORTED_DIALECT if the record does not have this form
 */
export function sourceElements(origin: Origin | undefined): (tensor: Identity) => FloatElement {
  const usual = element(origin?.tensor_element ?? "F16", "tensor_element");
  const exceptions = new Map<string, FloatElement>();
  const rows = origin?.tensor_elements ?? [];
  for (const row of Array.isArray(rows) ? rows : bad("tensor_elements")) {
    const [role, name, source] = Array.isArray(row) && row.length === 3 ? row : bad("tensor_elements");
    exceptions.set(`${role} ${name}`, element(source, "tensor_elements"));
  }
  return ({ role, name }) => exceptions.get(`${role} ${name}`) ?? usual;
}

function element(value: MetaValue | undefined, field: string): FloatElement {
  return FLOATS.find((known) => known === value) ?? bad(field);
}

function bad(field: string): never {
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: `origin record field "${field}"`,
    expected:
      field === "tensor_element" ? FLOATS.join(", ") : `rows of role, name, and one of ${FLOATS.join(", ")}`,
    actual: "something else",
  });
}
