/**
 * Rewrites an adapter in other numbers: folds the multiplier into B, or pads ranks with zeros to one rank.
 *
 * ΔW stays the same: padding is exact, and so is folding a power of two. Any other multiplier rounds each weight of B
 * once more, to the significand of its element type. A note says which of the two happened.
 *
 * @module
 */

import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import {
  type Adapter,
  inputLength,
  type LoraModule,
  lazyModule,
  type PlainTensor,
  shapeOf,
} from "../model/adapter.ts";
import type { WriteOptions } from "./dialect.ts";
import { type FactorElement, fromFloat32, isFactorElement, toFloat32 } from "./elements.ts";
import { elementsOf } from "./origin.ts";

const SIGNIFICANT_BITS: Readonly<Record<FactorElement, number>> = { F32: 24, F16: 11, BF16: 8 };

/**
 * Folds the multipliers of the chosen modules into B; their multiplier becomes 1. Default: all modules whose multiplier is not 1.
 *
 * @throws LqaError SOURCE_RANGE if a LoRA bias would become infinite
 */
export function foldMultipliers(
  adapter: Adapter,
  options: Pick<WriteOptions, "onNote" | "factors" | "elements">,
  which: (module: LoraModule) => boolean = ({ multiplier }) => multiplier !== 1,
): Adapter {
  const chosen = new Map(adapter.modules.filter(which).map((module) => [module.name, module.multiplier]));
  if (chosen.size === 0) return adapter;
  const exact = [...chosen.values()].filter(isPowerOfTwo).length;
  const rounded = chosen.size - exact;
  const bits = (module: LoraModule): number => SIGNIFICANT_BITS[elementsOf(module, options)[0]];
  const least = adapter.modules.reduce(
    (fewest, module) => (chosen.has(module.name) ? Math.min(fewest, bits(module)) : fewest),
    24,
  );
  options.onNote?.(
    `The multiplier of ${chosen.size} modules is folded into B${rounded === 0 ? ", exactly" : `, which rounds ${rounded} of them to ${least} bits`}.`,
  );
  const modules = adapter.modules.map((module) => (chosen.has(module.name) ? fold(module) : module));
  const tensors = adapter.tensors.map((tensor) => {
    const multiplier = tensor.role === "lora-bias" ? chosen.get(tensor.name) : undefined;
    return multiplier === undefined ? tensor : scaled(tensor, multiplier);
  });
  return { ...adapter, modules, tensors };
}

function isPowerOfTwo(value: number): boolean {
  return value === 0 || Math.abs(value) === 2 ** Math.round(Math.log2(Math.abs(value)));
}

function fold(module: LoraModule): LoraModule {
  const { multiplier } = module;
  return lazyModule(
    { ...shapeOf(module), multiplier: 1, alpha: 0, rule: "none" },
    () => module.b.map((value) => value * multiplier),
    () => module.a,
  );
}

function scaled(tensor: PlainTensor, multiplier: number): PlainTensor {
  const { element, name } = tensor;
  if (!isFactorElement(element)) return tensor;
  const values = toFloat32(tensor).map((value) => value * multiplier);
  return { ...tensor, data: fromFloat32(values, element, `LoRA bias of module "${name}"`) };
}

/** The largest rank of all modules. */
export function largestRank(modules: readonly Pick<LoraModule, "rank">[]): number {
  return modules.reduce((most, { rank }) => Math.max(most, rank), 0);
}

/** Most weights of a padded adapter: 4 GiB of F32. Stops one module of a large rank from making many others as large. */
const MOST_PADDED = 2 ** 30;

/**
 * Pads all modules to the largest rank. `note` makes the sentence for `onNote` from the number of padded modules and the rank.
 *
 * @throws LqaError BUDGET if the padded adapter would have more than {@link MOST_PADDED} weights
 */
export function evenRanks(
  adapter: Adapter,
  { onNote }: Pick<WriteOptions, "onNote">,
  note: (modules: number, rank: number) => string,
): Adapter {
  const { modules } = adapter;
  const rank = largestRank(modules);
  const padded = modules.filter((module) => module.rank !== rank).length;
  if (padded === 0) return adapter;
  const weights = modules.reduce(
    (sum, module) => sum + module.experts * rank * (module.out + inputLength(module)),
    0,
  );
  if (weights > MOST_PADDED) {
    fail(KIND.BUDGET, {
      where: `${padded} modules padded to rank ${rank}`,
      expected: `at most ${MOST_PADDED} weights`,
      actual: weights,
      advice: "Write PEFT without --portable, or another dialect that has a rank for each module.",
    });
  }
  onNote?.(note(padded, rank));
  return { ...adapter, modules: modules.map((module) => padRank(module, rank)) };
}

/** Adds components whose factors are 0. The multiplier does not change; its rule becomes `explicit`, unless it was `none`. */
function padRank(module: LoraModule, rank: number): LoraModule {
  if (module.rank === rank) return module;
  const { experts, out, rank: old } = module;
  const length = inputLength(module);
  return lazyModule(
    { ...shapeOf(module), rank, rule: module.rule === "none" ? "none" : "explicit" },
    () => {
      const from = module.b;
      const b = new Float32Array(experts * out * rank);
      for (let row = 0; row < experts * out; row++)
        b.set(from.subarray(row * old, (row + 1) * old), row * rank);
      return b;
    },
    () => {
      const from = module.a;
      const a = new Float32Array(experts * rank * length);
      for (let e = 0; e < experts; e++) {
        a.set(from.subarray(e * old * length, (e + 1) * old * length), e * rank * length);
      }
      return a;
    },
  );
}
