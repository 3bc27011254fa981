/**
 * An adapter with at most a given rank: the first components of each module.
 *
 * The encoder sorts components by the strength of their direction, so the first ones are the best approximation of ΔW that it knows. Files
 * of other profiles keep the source's order. The share of the energy of ΔW that the others had is computed from the factors,
 * also if directions are not orthogonal.
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
  /** Modules that lost components. */
  readonly modules: number;
}

/**
 * Keeps the first components. Reads the factors of the modules that lose some, one module after the other.
 *
 * @param rank most components per module, at least 1
 * @throws LqaError USAGE for a rank below 1; what reading factors throws
 */
export function lowerRank(adapter: Adapter, rank: number): LowerRank {
  if (!Number.isSafeInteger(rank) || rank < 1)
    fail(KIND.USAGE, { where: "rank", expected: "a whole number from 1", actual: rank });
  let [lost, whole, changed] = [0, 0, 0];
  const modules = adapter.modules.map((module) => {
    const [all, rest] = energies(module, rank);
    whole += all;
    lost += rest;
    if (module.rank <= rank) return module;
    changed++;
    return cut(module, rank);
  });
  // PEFT's own configuration states the old ranks, so the adapter gets a new one.
  const origin = adapter.origin?.dialect === "peft" && changed > 0 ? undefined : adapter.origin;
  return {
    adapter: { ...adapter, modules, origin },
    relativeError: whole === 0 ? 0 : lost / whole,
    modules: changed,
  };
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

/** ‖ΔW‖² of a module, and of its components from `first` on: the trace of (BᵀB)(AAᵀ). */
function energies(module: LoraModule, first: number): [all: number, rest: number] {
  const { experts, out, rank, multiplier } = module;
  const length = inputLength(module);
  const [b, a] = [module.b, module.a];
  let [all, rest] = [0, 0];
  for (let expert = 0; expert < experts; expert++)
    for (let i = 0; i < rank; i++)
      for (let j = 0; j <= i; j++) {
        let [ofB, ofA] = [0, 0];
        for (let row = expert * out; row < (expert + 1) * out; row++)
          ofB += b[row * rank + i]! * b[row * rank + j]!;
        const [x, y] = [(expert * rank + i) * length, (expert * rank + j) * length];
        for (let at = 0; at < length; at++) ofA += a[x + at]! * a[y + at]!;
        const energy = (i === j ? 1 : 2) * ofB * ofA * multiplier * multiplier;
        all += energy;
        if (j >= first) rest += energy;
      }
  return [all, rest];
}
