/**
 * Does an adapter fit a base model (spec clause 9.5)? Asked before anything is applied, from shapes alone.
 *
 * @module
 */
import { fail } from "../errors.ts";
import type { ModuleShape } from "../model/adapter.ts";

/** The shape a module's base weight must have: (experts,) out, in, kernel…, or in, out. */
export function baseWeightShape(module: ModuleShape): number[] {
  const matrix =
    module.baseLayout === "out-in" ? [module.out, module.in, ...module.kernel] : [module.in, module.out];
  return module.experts > 1 ? [module.experts, ...matrix] : matrix;
}

/**
 * Compares every module with the weights of a base model.
 *
 * @param modules the modules of a file or an adapter
 * @param shapes shape of each base tensor by its name, e.g. from the headers of its safetensors files. The weight of
 *   module `P` is looked up as `P.weight`, then as `P`.
 * @throws LqaError BASE_MODULE_MISSING, BASE_SHAPE
 */
export function checkBase(
  modules: readonly ModuleShape[],
  shapes: ReadonlyMap<string, readonly number[]>,
): void {
  for (const module of modules) {
    const where = `module "${module.name}"`;
    const shape =
      shapes.get(`${module.name}.weight`) ??
      shapes.get(module.name) ??
      fail("BASE_MODULE_MISSING", { where, expected: `a base tensor "${module.name}.weight"` });
    const expected = baseWeightShape(module);
    if (shape.length !== expected.length || shape.some((size, i) => size !== expected[i]))
      fail("BASE_SHAPE", { where, expected: expected.join("×"), actual: shape.join("×") });
  }
}
