/**
 * Measures how rounding the factors to F16, BF16 or F8_E4M3 changes ΔW, while an adapter is written.
 *
 * Rounding errors of different components are independent. So the energy of the error of B · A is the sum over components
 * of ‖δb‖²‖a‖² + ‖b‖²‖δa‖² + ‖δb‖²‖δa‖², and two numbers per component of each factor are enough. ‖ΔW‖² is computed as the sum of
 * ‖b‖²‖a‖². This is exact if the components are orthogonal; those of the profile `rd` are, up to quantization errors.
 * @module
 */
import { inputLength, type LoraModule } from "../model/adapter.ts";
import type { WrittenElement } from "./elements.ts";

/** Element types that round. */
export type RoundedElement = Exclude<WrittenElement, "F32">;

/** The effect of rounding. */
export interface Rounding {
  /** The element types to which values were rounded. */
  readonly elements: readonly RoundedElement[];
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖² over all modules. ΔW is from the factors before rounding, ΔŴ from those after. */
  readonly relativeError: number;
  /** The module with the largest relative error. */
  readonly worst: { readonly name: string; readonly relativeError: number };
  /** Number of weights in the factors that rounding changed to 0. `weights`: number of all weights. */
  readonly zeros: number;
  readonly weights: number;
}

/** Called for each factor written in a type that rounds, with its values before and after rounding. */
export type OnRounded = (
  module: LoraModule,
  which: "a" | "b",
  element: RoundedElement,
  values: Float32Array,
  rounded: Float32Array,
) => void;

/** Energies per component (of all experts): of the factor, and of the change by rounding. */
interface Measured {
  readonly energy: Float64Array;
  readonly lost: Float64Array;
  readonly element: RoundedElement;
  readonly zeros: number;
  readonly weights: number;
}

/** Collects the factors as they are written. A factor that is written twice counts once. */
export interface RoundingMeter {
  readonly onRounded: OnRounded;
  /** The result; undefined if rounding changed no value. */
  result(): Rounding | undefined;
}

/** See {@link RoundingMeter}. */
export function createRoundingMeter(): RoundingMeter {
  const modules = new Map<string, { readonly multiplier: number; a?: Measured; b?: Measured }>();
  return {
    onRounded(module, which, element, values, rounded) {
      const found = modules.get(module.name) ?? { multiplier: module.multiplier };
      found[which] = measure(module, which, element, values, rounded);
      modules.set(module.name, found);
    },
    result() {
      const elements = new Set<RoundedElement>();
      const total = { energy: 0, lost: 0, zeros: 0, weights: 0 };
      let worst = { name: "", relativeError: 0 };
      for (const [name, { multiplier, a, b }] of modules) {
        if (a === undefined || b === undefined) continue;
        let energy = 0;
        let lost = 0;
        for (const [i, ofA] of a.energy.entries()) {
          const ofB = b.energy[i]!;
          energy += ofA * ofB;
          lost += b.lost[i]! * ofA + ofB * a.lost[i]! + b.lost[i]! * a.lost[i]!;
        }
        if (lost > 0 && lost / energy > worst.relativeError) worst = { name, relativeError: lost / energy };
        total.energy += multiplier * multiplier * energy;
        total.lost += multiplier * multiplier * lost;
        for (const { element, zeros, weights, lost: changed } of [b, a]) {
          total.zeros += zeros;
          total.weights += weights;
          if (changed.some((share) => share > 0)) elements.add(element);
        }
      }
      if (elements.size === 0) return undefined;
      const relativeError = total.lost === 0 ? 0 : total.lost / total.energy;
      const { zeros, weights } = total;
      return { elements: [...elements], relativeError, worst, zeros, weights };
    },
  };
}

function measure(
  { rank, experts, ...shape }: LoraModule,
  which: "a" | "b",
  element: RoundedElement,
  values: Float32Array,
  rounded: Float32Array,
): Measured {
  const energy = new Float64Array(experts * rank);
  const lost = new Float64Array(experts * rank);
  const length = which === "a" ? inputLength(shape) : shape.out;
  let zeros = 0;
  for (let expert = 0; expert < experts; expert++) {
    for (let i = 0; i < length * rank; i++) {
      const at = expert * length * rank + i;
      const component = expert * rank + (which === "a" ? Math.floor(i / length) : i % rank);
      const value = values[at]!;
      const change = value - rounded[at]!;
      energy[component]! += value * value;
      lost[component]! += change * change;
      if (value !== 0 && rounded[at] === 0) zeros++;
    }
  }
  return { energy, lost, element, zeros, weights: values.length };
}
