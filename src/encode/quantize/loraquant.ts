/**
 * The `loraquant` profile: LoRAQuant (Mirzaei et al., arXiv 2510.26690) as in its authors' program, with planes as output.
 *
 * Components are ordered by singular value. The strong ones, which cover the share ρ of the energy, are `affine` of i bits with
 * zero points; the others are `sign`. Exact deviations from the program, all of them necessary to store the result: scales
 * are rounded to 16 bits before codes are chosen; sign(0) is +; the mean magnitude of a short last group is over its
 * real entries; components that are exactly zero (rank above a dimension, untrained) take a band of codec `zero`,
 * which decodes to the same values and takes no bytes.
 *
 * @module
 */

import type { Band, PackedBand, PackedFactors } from "../../core/codecs/packed.ts";
import type { LoraModule } from "../../model/adapter.ts";
import { CODERS, type Coded } from "./coders.ts";
import { minMaxFit, searchFit } from "./fit.ts";
import type { Bundle } from "./groups.ts";
import { type Components, reparameterize } from "./reparameterize.ts";
import { refineBySgd } from "./sgd.ts";
import { type HRule, strongComponents, type Variant } from "./variant.ts";

/**
 * How to find the scales of strong components. `search`: least squared error of each group (default). `none`: plain
 * round-to-nearest. `sgd`: the authors' loop.
 */
export type Refine = "search" | "none" | "sgd";

/** Options of the profile. */
export interface LoraQuantOptions {
  readonly variant: Variant;
  readonly hRule: HRule;
  readonly refine: Refine;
  /** Weights that share a scale; 0 for the whole vector. */
  readonly group: number;
}

/** A band before its scale types are chosen. */
interface Plan {
  readonly from: number;
  readonly components: number;
  readonly part: "strong" | "weak" | "nothing";
}

/**
 * Quantizes a module. Weights must be finite.
 *
 * All experts share the band plan, chosen by their summed energies (a module has only one plan; the mean would
 * give the same choice), and each band's scale types.
 *
 * @throws LqaError SOURCE_RANGE if a scale overflows bf16
 */
export function loraQuant(module: LoraModule, options: LoraQuantOptions): PackedFactors {
  const experts = Array.from({ length: module.experts }, (_, expert) => reparameterize(module, expert));
  const bands: Band[] = [];
  const planes: PackedBand[][] = experts.map(() => []);
  for (const plan of planBands(experts, options)) {
    if (plan.part === "strong" && options.refine === "sgd") refineBand(experts, plan, options);
    const b = encodeFactor(experts, plan, "b", options, `module "${module.name}", factor B`);
    const a = encodeFactor(experts, plan, "a", options, `module "${module.name}", factor A`);
    bands.push({ components: plan.components, b: b.encoding, a: a.encoding });
    for (const [expert, list] of planes.entries()) list.push({ b: b.planes[expert]!, a: a.planes[expert]! });
  }
  return { bands, planes };
}

function planBands(experts: readonly Components[], options: LoraQuantOptions): Plan[] {
  const { rank } = experts[0]!;
  const energies = new Float64Array(rank);
  for (const { singularValues } of experts) {
    for (let i = 0; i < rank; i++) energies[i]! += singularValues[i]! * singularValues[i]!;
  }
  let live = rank;
  while (live > 0 && experts.every(({ singularValues }) => singularValues[live - 1] === 0)) live--;
  const strong =
    live === 0 ? 0 : strongComponents(energies.subarray(0, live), options.variant.coverage, options.hRule);
  const plans: Plan[] = [
    { from: 0, components: strong, part: "strong" },
    { from: strong, components: live - strong, part: "weak" },
    { from: live, components: rank - live, part: "nothing" },
  ];
  return plans.filter((plan) => plan.components > 0);
}

function refineBand(experts: readonly Components[], plan: Plan, options: LoraQuantOptions): void {
  for (const { b, a, out, n } of experts) {
    for (let c = plan.from; c < plan.from + plan.components; c++) {
      const column = b.subarray(c * out, (c + 1) * out);
      refineBySgd(column, a.subarray(c * n, (c + 1) * n), options.variant.bits, options.group);
    }
  }
}

function encodeFactor(
  experts: readonly Components[],
  plan: Plan,
  factor: "b" | "a",
  options: LoraQuantOptions,
  where: string,
): Coded {
  if (plan.part === "nothing") return CODERS.zero(experts.length);
  const bundles = experts.map(
    (expert): Bundle => ({
      values: expert[factor],
      from: plan.from,
      components: plan.components,
      length: factor === "b" ? expert.out : expert.n,
      group: options.group,
    }),
  );
  if (plan.part === "weak") return CODERS.sign(bundles, where);
  const fit = options.refine === "search" ? searchFit : minMaxFit;
  return CODERS.affine(bundles, options.variant.bits, fit, where);
}
