/**
 * The error of an encoding as a DoRA module's base weight gets it.
 *
 * A DoRA module replaces its base weight W by W' = m (W + ΔW) / ‖W + ΔW‖, so what it changes is W' − W and not ΔW. The
 * error is that of W' − W with the decoded factors and magnitude, and both weights are those that `adaptWeight` makes.
 *
 * @module
 */
import type { LoraModule, PlainTensor } from "../../model/adapter.ts";
import { adaptWeight } from "./weights.ts";

/** A module with its magnitude. */
export interface DoraModule {
  readonly module: LoraModule;
  readonly magnitude: PlainTensor;
}

/**
 * ‖W' − W‖² of a module, and ‖W' − Ŵ'‖² of what another one of its shape makes of the same weight.
 *
 * @param weight W in the base's layout (spec clause 9.2); not changed
 * @param where names the weight in errors
 * @throws LqaError SOURCE_NONFINITE as `adaptWeight`
 */
export function changeError(
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
