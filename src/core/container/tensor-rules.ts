/**
 * What the role of a plain tensor demands of it, of its values, and of modules and other tensors (spec clause 9.4).
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ElementType, ModuleShape, PlainTensor, TensorRole } from "../../model/adapter.ts";
import type { Where } from "./chunk-rules.ts";

type TensorShape = Pick<PlainTensor, "name" | "role" | "element" | "shape" | "axis">;

/** Only a magnitude has an axis, 0 or 1. @throws LqaError TENSOR_RECORD */
export function checkMagnitudeAxis(role: TensorRole, axis: number, where: Where, offset: number): void {
  const most = role === "magnitude" ? 1 : 0;
  if (axis > most)
    fail(KIND.TENSOR_RECORD, { where: `${where()}.axis`, offset, expected: `at most ${most}`, actual: axis });
}

const FLOATS: readonly ElementType[] = ["F32", "F16", "BF16", "F64"];

/**
 * Checks each tensor against its role: element type, shape, and the modules and tensors it belongs to.
 *
 * @param locate file offset of a tensor's record, if there is one
 * @throws LqaError TENSOR_RECORD
 */
export function checkRoles(
  tensors: readonly TensorShape[],
  modules: readonly Omit<ModuleShape, "kernel">[],
  locate?: (i: number) => number,
): void {
  // Most adapters have no other tensors, and there may be 65,536 of them.
  if (tensors.every(({ role }) => role === "replace" || role === "carried")) return;
  const byModule = new Map(modules.map((module) => [module.name, module]));
  const byRole = new Map(tensors.map((tensor) => [`${tensor.role} ${tensor.name}`, tensor]));
  tensors.forEach(({ name, role, element, shape, axis }, i) => {
    const need = (ok: boolean, expected: string, actual?: string): void => {
      if (!ok)
        fail(KIND.TENSOR_RECORD, { where: `${role} "${name}"`, offset: locate?.(i), expected, actual });
    };
    const other = (role: TensorRole): TensorShape | undefined => byRole.get(`${role} ${name}`);
    if (role === "replace" || role === "carried") return;
    if (role === "token-indices") need(element === "U32", "U32", element);
    else need(FLOATS.includes(element), "F32, F16, BF16 or F64", element);
    if (role === "bias") {
      need(other("replace") === undefined, "one tensor that replaces a base tensor", "a replace tensor too");
    } else if (role === "magnitude" || role === "lora-bias") {
      const module =
        byModule.get(name) ??
        fail(KIND.TENSOR_RECORD, {
          where: `${role} "${name}"`,
          offset: locate?.(i),
          expected: "a module of the same name",
          actual: "none",
        });
      const rowsFirst = module.baseLayout === "out-in";
      const size = role === "magnitude" && rowsFirst !== (axis === 0) ? module.in : module.out;
      const expected = module.experts === 1 ? [size] : [module.experts, size];
      need(
        `${longer(shape)}` === `${longer(expected)}`,
        `shape ${expected.join("×")}, with any dimensions of 1 added`,
        shape.join("×") || "a scalar",
      );
    } else if (role === "token-rows") {
      need(!byModule.has(name), "no module of the same name", "one");
      const rows = other("token-indices")?.shape[0];
      need(rows !== undefined, "token-indices of the same name", "none");
      need(shape.length === 2 && shape[0] === rows, `shape ${rows}×width`, shape.join("×"));
    } else {
      need(other("token-rows") !== undefined, "token-rows of the same name", "none");
      need(shape.length === 1, "one dimension", shape.join("×"));
    }
  });
}

const longer = (shape: readonly number[]): readonly number[] => shape.filter((size) => size !== 1);

/**
 * Checks the values of `token-indices`: distinct, in ascending order.
 *
 * @param data little-endian U32, at any byte offset
 * @param before the index before the first one of `data`; −1 if there is none
 * @returns number of the first index that is not above the one before it, or −1; and the last index
 */
export function unorderedIndex(data: Uint8Array, before: number): { at: number; last: number } {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let last = before;
  for (let i = 0; 4 * i < data.length; i++) {
    const index = view.getUint32(4 * i, true);
    if (index <= last) return { at: i, last };
    last = index;
  }
  return { at: -1, last };
}
