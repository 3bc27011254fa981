/**
 * What rounding the factors to F16 or BF16 does to ΔW, measured while an adapter is written.
 *
 * Rounding errors of different components are independent. So the energy of the error of B · A is the sum over components
 * of ‖δb‖²‖a‖² + ‖b‖²‖δa‖² + ‖δb‖²‖δa‖², and two numbers for each component of each factor are enough. ‖ΔW‖² is the sum of
 * ‖b‖²‖a‖², which is exact where components are orthogonal, as those of the profile `rd` are up to their errors.
 *
 * @module
 */
import { inputLength, type LoraModule } from "../model/adapter.ts";

/** What rounding cost. */
export interface Rounding {
  /** The element types that values were rounded to. */
  readonly elements: readonly ("F16" | "BF16")[];
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖² over all modules, ΔW with the factors before rounding, ΔŴ after. */
  readonly relativeError: number;
  /** The module that lost the largest share of its energy. */
  readonly worst: { readonly name: string; readonly relativeError: number };
  /** Weights of the factors that were not 0 and became 0, of how many. */
  readonly zeros: number;
  readonly weights: number;
}

/** Called for each factor that is written with fewer bits than F32: its values as the module has them, and as they are read. */
export type OnRounded = (
  module: LoraModule,
  which: "a" | "b",
  element: "F16" | "BF16",
  values: Float32Array,
  rounded: Float32Array,
) => void;

/** Energies by component, of all experts: of the factor, and of what rounding changed. */
interface Measured {
  readonly energy: Float64Array;
  readonly lost: Float64Array;
  readonly element: "F16" | "BF16";
  readonly zeros: number;
  readonly weights: number;
}

/** Collects what is written. A factor that is written twice counts once. */
export interface RoundingMeter {
  readonly onRounded: OnRounded;
  /** Undefined if no value of any factor was changed. */
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
      const elements = new Set<"F16" | "BF16">();
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
  element: "F16" | "BF16",
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
