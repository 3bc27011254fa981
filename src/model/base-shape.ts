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

/** Prefixes that models have with a head and not without; CLIP's has been left out since transformers 5. */
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
 * The one rule by which an adapter's names are looked up in a base model: `P.weight`, then `P`. A model that was saved
 * without the head its adapter was trained under has other prefixes (`h.0.…` for `transformer.h.0.…`), and a component of a
 * pipeline does not say its own name (`unet.`), so one change of the prefix is made for all names together: the
 * first of those under which most modules are found, none before others.
 *
 * @param get what the base model has under a name
 * @returns the base weight of a module of a name, and the base tensor of exactly a name
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

// Components of diffusion pipelines that have LoRA layers, by the prefix of their layers' paths.

/** Matches the component at the head of a path, dot included; the first group is its name. */
export const COMPONENT: RegExp =
  /^(unet|transformer|transformer_2|text_encoder|text_encoder_2|text_encoder_3|prior_\w+|prior|controlnet)\./;
