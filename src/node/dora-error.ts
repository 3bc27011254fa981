/**
 * Measures how the encoding of a DoRA adapter changes the weights of its base model (Node only).
 *
 * A DoRA module replaces its base weight W by W' = m (W + ΔW) / ‖W + ΔW‖, so its change is W' − W and not ΔW. The error is
 * W' − Ŵ', where Ŵ' comes from the decoded factors and magnitude. `adaptWeight` computes both weights.
 *
 * @module
 */
import { isFactorElement, toFloat32 } from "../adapters/elements.ts";
import { quoteName } from "../adapters/json.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type Adapter, type LoraModule, type PlainTensor, withFactors } from "../model/adapter.ts";
import { adaptWeight } from "./adapt-weight.ts";
import type { StoredTensor } from "./stored-model.ts";

/** The error of the change that DoRA modules make to the base weights. */
export interface DoraError {
  /** Number of modules with a magnitude. */
  readonly modules: number;
  /** ‖W' − Ŵ'‖² / ‖W' − W‖² over these modules: W the base weight, W' with the adapter, Ŵ' with the decoded one. */
  readonly relativeError: number;
  /** The module with the largest relative error. */
  readonly worst: { readonly name: string; readonly relativeError: number };
}

/** The magnitudes of an adapter's DoRA modules, by module name. */
export function magnitudesOf({ tensors }: Pick<Adapter, "tensors">): Map<string, PlainTensor> {
  const magnitudes = tensors.filter(({ role }) => role === "magnitude");
  return new Map(magnitudes.map((tensor) => [tensor.name, tensor]));
}

/**
 * Measures the error of decoded DoRA modules. Memory holds three copies of one base weight, and both modules.
 *
 * @param weightOf finds the base weight of a module, whose shape the caller has checked
 * @returns undefined if no module has a magnitude, or if a weight has another type than F32, F16 or BF16
 * @throws LqaError SOURCE_NONFINITE for a base weight to which no magnitude applies; TRUNCATED_SOURCE, IO, ABORTED
 */
export async function doraError(
  source: Adapter,
  decoded: Adapter,
  weightOf: (name: string) => StoredTensor,
  signal?: AbortSignal,
): Promise<DoraError | undefined> {
  const [magnitudes, again] = [magnitudesOf(source), magnitudesOf(decoded)];
  const modules = source.modules.filter(({ name }) => magnitudes.has(name));
  if (modules.length === 0 || modules.some(({ name }) => !isFactorElement(weightOf(name).element)))
    return undefined;
  const after = new Map(decoded.modules.map((module) => [module.name, module]));
  const total = { energy: 0, errorEnergy: 0 };
  let worst = { name: "", relativeError: 0 };
  for (const module of modules) {
    const { name } = module;
    const target = weightOf(name);
    const where = `base tensor ${quoteName(target.name)}`;
    const data = await target.source.read(target.offset, target.length, signal);
    if (data.length < target.length)
      fail(KIND.TRUNCATED_SOURCE, { where, expected: `${target.length} bytes`, actual: data.length });
    const { energy, errorEnergy } = changeError(
      toFloat32({ element: target.element, data }),
      { module: withFactors(module), magnitude: magnitudes.get(name)! },
      { module: withFactors(after.get(name)!), magnitude: again.get(name)! },
      where,
    );
    total.energy += energy;
    total.errorEnergy += errorEnergy;
    const relativeError = share(errorEnergy, energy);
    if (relativeError >= worst.relativeError) worst = { name, relativeError };
  }
  return { modules: modules.length, relativeError: share(total.errorEnergy, total.energy), worst };
}

/** A module with its magnitude. */
interface DoraModule {
  readonly module: LoraModule;
  readonly magnitude: PlainTensor;
}

/**
 * Computes `energy` = ‖W' − W‖² and `errorEnergy` = ‖W' − Ŵ'‖².
 *
 * @param weight W in the base's layout (spec clause 9.2); stays as it is
 * @param original makes W'
 * @param decoded makes Ŵ'; has the shape of `original`
 * @param where names the weight in errors
 * @throws LqaError SOURCE_NONFINITE as `adaptWeight`
 */
function changeError(
  weight: Float32Array,
  original: DoraModule,
  decoded: DoraModule,
  where: string,
): { readonly energy: number; readonly errorEnergy: number } {
  const adapted = weight.slice();
  adaptWeight(adapted, original.module, original.magnitude, where);
  let energy = 0;
  for (let i = 0; i < weight.length; i++) energy += (adapted[i]! - weight[i]!) ** 2;
  const again = weight.slice();
  adaptWeight(again, decoded.module, decoded.magnitude, where);
  let errorEnergy = 0;
  for (let i = 0; i < weight.length; i++) errorEnergy += (adapted[i]! - again[i]!) ** 2;
  return { energy, errorEnergy };
}

function share(errorEnergy: number, energy: number): number {
  return errorEnergy === 0 ? 0 : errorEnergy / energy;
}
