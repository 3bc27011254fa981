/**
 * Checks from shapes alone whether an adapter fits a base model (spec clause 9.5), before anything is applied.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { ModuleShape } from "./adapter.ts";

/** The shape a module's base weight must have: (experts,) out, in, kernel…, or in, out. */
export function baseWeightShape(module: ModuleShape): number[] {
  const matrix =
    module.baseLayout === "out-in" ? [module.out, module.in, ...module.kernel] : [module.in, module.out];
  return module.experts > 1 ? [module.experts, ...matrix] : matrix;
}

/** Prefixes that only models saved with a head have. transformers 5 has dropped the one of CLIP (`text_model.`). */
const PREFIXES = ["model.", "transformer.", "base_model.", "gpt_neox.", "roberta.", "bert.", "text_model."];

const BARE: readonly ((name: string) => string)[] = [(name) => name, (name) => name.replace(COMPONENT, "")];

const CHANGES = BARE.flatMap((bare) => [
  bare,
  ...PREFIXES.flatMap((prefix) => [
    (name: string) => (bare(name).startsWith(prefix) ? bare(name).slice(prefix.length) : bare(name)),
    (name: string) => prefix + bare(name),
  ]),
]);

/**
 * Looks up an adapter's names in a base model: `P.weight`, then `P`. Prefixes may differ. A model saved without the head that
 * the adapter was trained under has `h.0.…` for `transformer.h.0.…`. Names in a component of a pipeline lack the component
 * (`unet.`). So the finder applies one change of prefix to all names: the one that finds the most modules. If several find
 * the same number, it takes the first of `CHANGES`, which begins with no change.
 *
 * @param get returns the entry of the base model for a name
 * @returns `weight` finds the base weight of a module, `tensor` the base tensor of exactly that name after the change
 */
export function baseFinder<T>(
  modules: readonly Pick<ModuleShape, "name">[],
  get: (name: string) => T | undefined,
): { weight: (name: string) => T | undefined; tensor: (name: string) => T | undefined } {
  const weight = (name: string): T | undefined => get(`${name}.weight`) ?? get(name);
  let best = CHANGES[0]!;
  let most = -1;
  for (const change of CHANGES) {
    const found = modules.reduce((sum, { name }) => sum + (weight(change(name)) === undefined ? 0 : 1), 0);
    if (found > most) [best, most] = [change, found];
    if (found === modules.length) break;
  }
  return { weight: (name) => weight(best(name)), tensor: (name) => get(best(name)) };
}

/**
 * Compares a module with the shape of its base weight.
 *
 * @param shape undefined if there is no such weight
 * @throws LqaError BASE_MODULE_MISSING, BASE_SHAPE
 */
export function checkBaseShape(module: ModuleShape, shape: readonly number[] | undefined): void {
  const where = `module "${module.name}"`;
  if (shape === undefined)
    fail(KIND.BASE_MODULE_MISSING, {
      where,
      expected: `a base tensor "${module.name}.weight"`,
      advice: COMPONENT.test(module.name)
        ? "For an adapter of several components give the directory of the pipeline, with model_index.json."
        : undefined,
    });
  const expected = baseWeightShape(module);
  if (shape.length !== expected.length || shape.some((size, i) => size !== expected[i]))
    fail(KIND.BASE_SHAPE, { where, expected: expected.join("×"), actual: shape.join("×") });
}

/**
 * Compares every module with the weights of a base model, whose names may have another prefix.
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
  const { weight } = baseFinder(modules, (name) => shapes.get(name));
  for (const module of modules) checkBaseShape(module, weight(module.name));
}

/**
 * Matches the component of a diffusion pipeline at the head of a layer's path, dot included; the first group is its name.
 * Only components that can have LoRA layers are in it.
 */
export const COMPONENT: RegExp =
  /^(unet|transformer|transformer_2|text_encoder|text_encoder_2|text_encoder_3|prior_\w+|prior|controlnet)\./;
