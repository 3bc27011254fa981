/**
 * The error that an encoding causes in the adapted weight of a DoRA module.
 *
 * A DoRA module replaces its base weight W by W' = m (W + ΔW) / ‖W + ΔW‖, so its change is W' − W and not ΔW. The error is
 * W' − Ŵ', where Ŵ' comes from the decoded factors and magnitude. `adaptWeight` computes both weights.
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
 * Computes `energy` = ‖W' − W‖² and `errorEnergy` = ‖W' − Ŵ'‖².
 *
 * @param weight W in the base's layout (spec clause 9.2); stays as it is
 * @param original makes W'
 * @param decoded makes Ŵ'; has the shape of `original`
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
