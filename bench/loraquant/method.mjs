/**
 * LoRAQuant (Mirzaei et al., arXiv 2510.26690) as in its authors' program, with the planes of `.lqa` as output.
 *
 * Components are ordered by singular value. The strong ones, which cover the share ρ of the energy, are `affine` of i bits with
 * zero points; the others are `sign`. Exact deviations from the program, all of them necessary to store the result: scales
 * are rounded to 16 bits before codes are chosen; sign(0) is +; the mean magnitude of a short last group is over its
 * real entries; components that are exactly zero (rank above a dimension, untrained) take a band of codec `zero`,
 * which decodes to the same values and takes no bytes.
 *
 * @module
 */
import { CODERS } from "../../dist/encode/quantize/coders.js";
import { minMaxFit, searchFit } from "../../dist/encode/quantize/fit.js";
import { reparameterize } from "../../dist/encode/quantize/reparameterize.js";
import { refineBySgd } from "./sgd.mjs";
/**
 * Quantizes a module. Weights must be finite.
 *
 * All experts share the band plan, chosen by their summed energies (a module has only one plan; the mean would
 * give the same choice), and each band's scale types.
 *
 * @throws LqaError SOURCE_RANGE if a scale overflows bf16
 */
export function loraQuant(module, options) {
  const experts = Array.from({ length: module.experts }, (_, expert) => reparameterize(module, expert));
  const bands = [];
  const planes = experts.map(() => []);
  for (const plan of planBands(experts, options)) {
    if (plan.part === "strong" && options.refine === "sgd") refineBand(experts, plan, options);
    const b = encodeFactor(experts, plan, "b", options, `module "${module.name}", factor B`);
    const a = encodeFactor(experts, plan, "a", options, `module "${module.name}", factor A`);
    bands.push({ components: plan.components, b: b.encoding, a: a.encoding });
    for (const [expert, list] of planes.entries()) list.push({ b: b.planes[expert], a: a.planes[expert] });
  }
  return { bands, planes };
}
function planBands(experts, options) {
  const { rank } = experts[0];
  const energies = new Float64Array(rank);
  for (const { singularValues } of experts) {
    for (let i = 0; i < rank; i++) energies[i] += singularValues[i] * singularValues[i];
  }
  let live = rank;
  while (live > 0 && experts.every(({ singularValues }) => singularValues[live - 1] === 0)) live--;
  const strong =
    live === 0 ? 0 : strongComponents(energies.subarray(0, live), options.variant.coverage, options.hRule);
  const plans = [
    { from: 0, components: strong, part: "strong" },
    { from: strong, components: live - strong, part: "weak" },
    { from: live, components: rank - live, part: "nothing" },
  ];
  return plans.filter((plan) => plan.components > 0);
}
function refineBand(experts, plan, options) {
  for (const { b, a, out, n } of experts) {
    for (let c = plan.from; c < plan.from + plan.components; c++) {
      const column = b.subarray(c * out, (c + 1) * out);
      refineBySgd(column, a.subarray(c * n, (c + 1) * n), options.variant.bits, options.group);
    }
  }
}
function encodeFactor(experts, plan, factor, options, where) {
  if (plan.part === "nothing") return CODERS.zero(experts.length);
  const bundles = experts.map((expert) => ({
    values: expert[factor],
    from: plan.from,
    components: plan.components,
    length: factor === "b" ? expert.out : expert.n,
    group: options.group,
  }));
  if (plan.part === "weak") return CODERS.sign(bundles, where);
  const fit = options.refine === "search" ? searchFit : minMaxFit;
  return CODERS.affine(bundles, options.variant.bits, fit, where);
}

/**
 * Parses `2@0.8`: the bits of the strong components, and the share of the energy that they cover.
 *
 * @throws RangeError for anything else
 */
export function parseVariant(text) {
  const match = /^([1-8])@(\d?\.?\d{1,15})$/.exec(text);
  const coverage = match === null ? 0 : Number(match[2]);
  if (!(coverage > 0 && coverage <= 1))
    throw new RangeError(`--variant ${text}: give bits@share, such as 2@0.8`);
  return { bits: Number(match[1]), coverage };
}
/**
 * Number of strong components. `text`: the fewest whose squared singular values reach the share. `code`: one fewer, but at least one;
 * the authors' program does this, and their published average bits follow from it.
 *
 * @param energies squared singular values, descending, not all zero. For a module with experts, which share one band
 *   plan, the sum over the experts.
 * @returns 1 to `energies.length`; all of them if rounding keeps every prefix below ρ
 */
function strongComponents(energies, coverage, rule) {
  let total = 0;
  for (const energy of energies) total += energy;
  let reached = energies.length;
  let sum = 0;
  for (let i = 0; i < energies.length; i++) {
    sum += energies[i];
    if (sum / total >= coverage) {
      reached = i + 1;
      break;
    }
  }
  return rule === "text" ? reached : Math.max(1, reached - 1);
}
