/**
 * An adapter with at most a given rank: the first components of each module.
 *
 * The encoder sorts components by the strength of their direction, so the first ones are the best approximation of ΔW that it knows. Files
 * of other profiles keep the source's order.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type Adapter, inputLength, type LoraModule, lazyModule, shapeOf } from "../model/adapter.ts";

/** An adapter of lower rank. */
export interface LowerRank {
  readonly adapter: Adapter;
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖² over all modules. */
  readonly relativeError: number;
}

/**
 * Keeps the first components, and compares the weights with those of all components. Reads the factors of one module after the other.
 *
 * @param rank most components per module, at least 1
 * @throws LqaError USAGE for a rank below 1; what reading factors throws
 */
export async function lowerRank(adapter: Adapter, rank: number): Promise<LowerRank> {
  if (!Number.isSafeInteger(rank) || rank < 1)
    fail(KIND.USAGE, { where: "rank", expected: "a whole number from 1", actual: rank });
  const modules = adapter.modules.map((module) => (module.rank > rank ? cut(module, rank) : module));
  // Most commands that decode do not need it.
  const { compareModules } = await import("../encode/quantize/quality.ts");
  let [energy, errorEnergy] = [0, 0];
  for (const [i, module] of adapter.modules.entries()) {
    const found = compareModules(module, modules[i]!);
    energy += found.energy;
    errorEnergy += found.errorEnergy;
  }
  const relativeError = energy === 0 ? 0 : errorEnergy / energy;
  // PEFT's own configuration states the old ranks, so the adapter gets a new one.
  const changed = adapter.modules.some((module) => module.rank > rank);
  const origin = adapter.origin?.dialect === "peft" && changed ? undefined : adapter.origin;
  return { adapter: { ...adapter, modules, origin }, relativeError };
}

function cut(module: LoraModule, rank: number): LoraModule {
  const length = inputLength(module);
  const { experts, out } = module;
  const shape = { ...shapeOf(module), rank, alpha: 0, rule: "explicit" as const };
  return lazyModule(
    shape,
    () => {
      const { b } = module;
      const kept = new Float32Array(experts * out * rank);
      for (let row = 0; row < experts * out; row++)
        kept.set(b.subarray(row * module.rank, row * module.rank + rank), row * rank);
      return kept;
    },
    () => {
      const { a } = module;
      const kept = new Float32Array(experts * rank * length);
      for (let expert = 0; expert < experts; expert++)
        kept.set(
          a.subarray(expert * module.rank * length, (expert * module.rank + rank) * length),
          expert * rank * length,
        );
      return kept;
    },
  );
}
