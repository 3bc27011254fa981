/**
 * Strength and noise: how far to stretch a coded component, and what it then loses.
 *
 * Codes of least squared error are shorter than their vectors. A component whose vectors are coded with
 * distortions D_b and D_a keeps the share k = (1 − D_b)(1 − D_a) of its length along itself, and of its energy; a dropped
 * one keeps nothing. Stretched by f it keeps f·k of its length. Its error then has two parts, as shares of its energy:
 *
 * - shrinkage (1 − f k)², along ΔW: the adapter is weaker than it was;
 * - noise f² k (1 − k), orthogonal to it.
 *
 * The sum of both is least at f = 1. But shrinkage changes behaviour much more than noise (docs/fidelity.md). So the default
 * restores the length of each component, f = 1 / k, and the allocation weights the remaining shrinkage, mostly that of dropped
 * components, more than the noise.
 *
 * A module also loses the length of its dropped components. All answers miss what those would have added, while noise averages
 * out. So its coded components are stretched together, beyond their own length, as far as that shrinkage outweighs the noise
 * that grows with them ({@link restoreOf}).
 *
 * The scales of B' are multiplied by f, which changes no code and adds no byte. A stretch that the scales' storage type
 * can hardly express is omitted. Raw weights are not stretched, because they keep all of their length.
 *
 * @module
 */

import { FLOAT_BYTES, lower } from "../../../core/format.ts";
import type { Encoding, PackedFactors, Planes } from "../../../core/index.ts";
import { bitsToNumber, numberToBits, readBits, writeBits } from "../../../floats.ts";
import type { Sensitivity } from "../../../model/calibration.ts";
import type { Choice } from "./allocate.ts";
import type { Subject } from "./subject.ts";

/**
 * How to treat the length that codes of least squared error lose: `unbiased` restores it for every coded
 * component; `least-squares` does not, for the least squared error of the weights.
 */
export type Fit = "unbiased" | "least-squares";

/** `rest`: a difference from a parent's component, which is stretched when it is coded, and whose component keeps its length. */
export type ComponentFit = Fit | "rest";

/** Weight of shrinkage relative to noise. docs/fidelity.md has the figures behind the choice. */
const SHRINKAGE: Readonly<Record<ComponentFit, number>> = { unbiased: 5, "least-squares": 1, rest: 1 };

/** A smaller stretch is omitted: bf16 scales are 2^-8 to 2^-7 apart. */
const LEAST_CORRECTION = 2 ** -8;
/** Largest stretch of a component. From 2 on its error would be above 1: worse than dropping it. */
export const MOST_STRETCH = 1.75;

/** Weight of the shrinkage of a whole module relative to noise. docs/fidelity.md has the figures behind the choice. */
const MODULE_SHRINKAGE = 10;

/** f, for a component that keeps the share `kept`. */
function stretchOf(kept: number, fit: ComponentFit): number {
  return fit === "unbiased" ? Math.min(1 / kept, MOST_STRETCH) : 1;
}

/**
 * The common factor of the coded components of a module: the one, at least 1, with the least w · shrinkage + noise of all of them
 * together.
 *
 * With the gain g and the noise n of the module, as shares of its energy, a factor 1 + x makes them (1 + x) g and (1 + x)² n.
 *
 * @param kept the share of each component that is kept before stretching
 * @returns 1 if the squared error would otherwise exceed that of a dropped module
 */
function restoreOf(components: Subject["components"], kept: readonly number[]): number {
  if (components.some(({ fit }) => fit !== "unbiased")) return 1;
  let [total, gain, noise] = [0, 0, 0];
  for (const [i, { energy, fit }] of components.entries()) {
    const k = kept[i]!;
    const f = k === 0 ? 0 : stretchOf(k, fit);
    total += energy;
    gain += energy * f * k;
    noise += energy * f * f * k * (1 - k);
  }
  if (gain === 0) return 1;
  const [g, n] = [gain / total, noise / total];
  const factor = (MODULE_SHRINKAGE * g) / (MODULE_SHRINKAGE * g * g + n);
  const error = (1 - factor * g) * (1 - factor * g) + factor * factor * n;
  return factor > 1 && error <= 1 ? factor : 1;
}

/**
 * The loss of a component that keeps the share `kept` before stretching, as a share of its energy: noise + w · shrinkage.
 *
 * @param w with 1, it is the squared error
 */
export function lossOf(kept: number, fit: ComponentFit, w: number = SHRINKAGE[fit]): number {
  const f = stretchOf(kept, fit);
  const shrinkage = (1 - f * kept) * (1 - f * kept);
  const noise = f * f * kept * (1 - kept);
  return noise + w * shrinkage;
}

/**
 * The error of a vector that is coded with a distortion and stretched to its length, as a share of its energy: what changed since a
 * parent is neither weaker nor stronger than before.
 */
export function stretchedError(distortion: number): number {
  const kept = 1 - distortion;
  const f = Math.min(1 / kept, MOST_STRETCH);
  return (1 - f * kept) * (1 - f * kept) + f * f * kept * (1 - kept);
}

/**
 * The divergence that the loss of a component adds, in nats per token (see {@link Sensitivity}). A vector that loses the
 * share D and is stretched to its length has noise of D / (1 − D); noise of both vectors at once counts as their mean.
 *
 * @param shrinkage weight of shrinkage. Noise of many components averages out; shrinkage of many adds up, because all
 *   of them weaken the same answers. The allocation counts it {@link SHRINKAGE} times (docs/fidelity.md).
 */
export function divergenceLoss(
  lostB: number,
  lostA: number,
  fit: Fit,
  { b, a, joint: own }: Sensitivity,
  shrinkage: number = SHRINKAGE[fit],
): number {
  const joint = shrinkage * own;
  const kept = (1 - lostB) * (1 - lostA);
  if (kept === 0) return joint / 2;
  const length = stretchOf(kept, fit) * kept;
  const noiseB = lostB / (1 - lostB);
  const noiseA = lostA / (1 - lostA);
  const noise = b * noiseB + a * noiseA + ((b + a) / 2) * noiseB * noiseA;
  return (length * length * noise + joint * (1 - length) * (1 - length)) / 2;
}

/** The share k of each component of a module, at rates at which its vectors are coded. */
export function keptShares({ components }: Subject, choices: readonly Choice[]): number[] {
  return components.map(({ b, a }, i) => {
    const choice = choices[i]!;
    return (1 - b.coded.get(choice.b)!.distortion) * (1 - a.coded.get(choice.a)!.distortion);
  });
}

/**
 * Stretches every component of a module.
 *
 * @param further another factor of each component, such as a trained one
 */
export function stretchComponents(
  subject: Subject,
  choices: readonly Choice[],
  packed: PackedFactors,
  further: (component: number) => number = () => 1,
): PackedFactors {
  const { components } = subject;
  const kept = keptShares(subject, choices);
  const restored = restoreOf(components, kept);
  const factors = kept.map((share, i) => restored * stretchOf(share, components[i]!.fit) * further(i));
  const { bands } = packed;
  const stretched = packed.planes.map((expert) => {
    let from = 0;
    return expert.map(({ b, ...others }, i) => {
      const { b: encoding, components } = bands[i]!;
      const own = factors.slice(from, (from += components));
      return { b: { ...b, scales: timesScales(encoding, b, own) }, ...others };
    });
  });
  return { bands, planes: stretched };
}

/** The scales of the vectors of a band, each multiplied by its vector's factor. */
export function timesScales(encoding: Encoding, { scales }: Planes, factors: readonly number[]): Uint8Array {
  const { scale: type, table, largest: own } = lower(encoding);
  if (type === undefined) return scales;
  // One bound for codes of any width.
  const largest = table === undefined ? 255 : own;
  const stretched = scales.slice();
  const groups = scales.length / FLOAT_BYTES[type] / factors.length;
  for (const [vector, factor] of factors.entries()) {
    if (Math.abs(factor - 1) < LEAST_CORRECTION) continue;
    for (let i = vector * groups; i < (vector + 1) * groups; i++) {
      const pattern = numberToBits(bitsToNumber(readBits(scales, type, i), type) * factor, type);
      // A scale at the end of the type's range stays unchanged.
      if (Number.isFinite(Math.fround(bitsToNumber(pattern, type) * largest)))
        writeBits(stretched, type, i, pattern);
    }
  }
  return stretched;
}
