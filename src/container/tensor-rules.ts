/**
 * Rules that tie plain tensors to each other and to modules (spec clause 9.4).
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { ModuleShape, PlainTensor, TensorRole } from "../model/adapter.ts";

type TensorShape = Pick<PlainTensor, "name" | "role" | "element" | "shape" | "axis">;

/** Only a magnitude has an axis, and base weights have at most five. @throws LqaError TENSOR_RECORD */
export function checkMagnitudeAxis(
  role: TensorRole,
  axis: number,
  where: string,
  offset: number | undefined,
): void {
  const most = role === "magnitude" ? 1 : 0;
  if (axis > most)
    fail(KIND.TENSOR_RECORD, { where: `${where}.axis`, offset, expected: `at most ${most}`, actual: axis });
}

/**
 * Checks every tensor that needs a partner: token rows and their indices, and what belongs to a module.
 *
 * @param locate file offset of a tensor's record, if there is one
 * @throws LqaError TENSOR_RECORD
 */
export function checkCompanions(
  tensors: readonly TensorShape[],
  modules: readonly Omit<ModuleShape, "kernel">[],
  locate?: (i: number) => number,
): void {
  const alone = ["replace", "bias", "carried"];
  if (tensors.every(({ role }) => alone.includes(role))) return;
  const byModule = new Map(modules.map((module) => [module.name, module]));
  const byRole = new Map(tensors.map((tensor) => [`${tensor.role} ${tensor.name}`, tensor]));
  tensors.forEach((tensor, i) => {
    const { name, role, shape } = tensor;
    const bad = (expected: string, actual?: string): never =>
      fail(KIND.TENSOR_RECORD, { where: `${role} "${name}"`, offset: locate?.(i), expected, actual });
    const count = shape.reduce((product, size) => product * size, 1);
    if (role === "magnitude" || role === "lora-bias") {
      const module = byModule.get(name) ?? bad("a module of the same name", "none");
      const rowsFirst = module.baseLayout === "out-in";
      const expected = role === "magnitude" && rowsFirst !== (tensor.axis === 0) ? module.in : module.out;
      if (count !== expected * module.experts) bad(`${expected * module.experts} elements`, shape.join("×"));
    } else if (role === "token-rows") {
      const indices = byRole.get(`token-indices ${name}`) ?? bad("token-indices of the same name", "none");
      if (shape.length !== 2 || shape[0] !== indices.shape[0])
        bad(`shape ${indices.shape[0]}×width`, shape.join("×"));
    } else if (role === "token-indices") {
      if (!byRole.has(`token-rows ${name}`)) bad("token-rows of the same name", "none");
      if (tensor.element !== "U32" || shape.length !== 1)
        bad("U32 and one dimension", `${tensor.element} ${shape.join("×")}`);
    }
  });
}
