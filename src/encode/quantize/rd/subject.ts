/**
 * The allocator's view of a module: the possible rates of its vectors, with their cost and error.
 *
 * It does not hold the vectors. They are recomputed wherever they are coded, from the factors and the SVD of the core that the
 * survey kept: 4 · rank / (out + in) of the memory of the factors in F32.
 *
 * @module
 */
import type { Encoding } from "../../../core/codecs/encoding.ts";
import { planeSizes } from "../../../core/codecs/registry.ts";
import { mixEncoding } from "../../../core/codecs/start/start.ts";
import * as KIND from "../../../error-catalogue.ts";
import { fail } from "../../../errors.ts";
import type { LoraModule } from "../../../model/adapter.ts";
import { inputLength } from "../../../model/adapter.ts";
import type { Sensitivity } from "../../../model/calibration.ts";
import { CODERS } from "../coders.ts";
import type { Candidate, Choice, RatePoint } from "./allocate.ts";
import type { CodedSide } from "./code-module.ts";
import { divergenceLoss, type Fit } from "./gain.ts";
import { RATES, rateBits, splitRate } from "./rates.ts";
import { MIX_BITS } from "./rests.ts";
import type { FactorSurvey, Survey } from "./survey.ts";

/** One factor of one component: a vector for each expert, coded alike. */
export interface Side {
  /** Weights of one vector. */
  readonly length: number;
  readonly survey: FactorSurvey;
  /** What a start leaves: its survey, and the share for each number of bits of a mixture. */
  readonly rest: FactorSurvey;
  readonly shares: readonly number[];
  /** The share of its energy that a parent leaves; 1 without one. */
  readonly left: number;
  /** By rate number. */
  readonly coded: Map<number, CodedSide>;
}

/** A component of a module. */
export interface Component {
  readonly energy: number;
  readonly b: Side;
  readonly a: Side;
  /** How it is fitted. What is added to a parent's component has no length to give back: it has least squared errors. */
  readonly fit: Fit;
}

/** A module and its components that are not zero, strongest first. */
export interface Subject {
  readonly module: LoraModule;
  readonly survey: Survey;
  readonly components: readonly Component[];
  readonly sensitivities: readonly Sensitivity[] | undefined;
}

/**
 * A module that has been surveyed, nothing coded yet.
 *
 * @throws LqaError SOURCE_IMPORTANCE if the sensitivities are those of another adapter
 */
export function subjectOf(
  module: LoraModule,
  survey: Survey,
  sensitivities: readonly Sensitivity[] | undefined,
  fit: Fit,
): Subject {
  // Sensitivities are those of the components that a module has by itself.
  const own = survey.left === undefined ? sensitivities : undefined;
  checkStrengths(module, survey, own);
  return {
    module,
    survey,
    sensitivities: own,
    components: survey.energies.map((energy, c) => {
      const { rest } = survey;
      const left = survey.left?.[c] ?? { b: 1, a: 1 };
      const side = (factor: "b" | "a", length: number, shares: readonly number[]): Side => ({
        ...{ length, survey: survey[factor], rest, shares, left: left[factor] },
        coded: new Map([[0, nothing(module.experts, left[factor])]]),
      });
      return {
        energy,
        b: side("b", module.out, []),
        a: side("a", inputLength(module), survey.shares[c]!),
        fit: left.b === 1 && left.a === 1 ? fit : "least-squares",
      };
    }),
  };
}

/** Singular values may differ by this share of the largest: they were measured in another precision. */
const STRENGTH_TOLERANCE = 0.01;

function checkStrengths(
  { name }: LoraModule,
  { energies }: Survey,
  sensitivities: readonly Sensitivity[] | undefined,
): void {
  if (sensitivities === undefined) return;
  const [first = 0] = energies;
  const allowed = STRENGTH_TOLERANCE * Math.sqrt(first);
  for (const [i, energy] of energies.entries()) {
    const found = sensitivities[i]?.strength;
    if (found !== undefined && Math.abs(Math.sqrt(energy) - found) <= allowed) continue;
    fail(KIND.SOURCE_IMPORTANCE, {
      where: `module "${name}", component ${i}`,
      expected: `a calibration of this adapter, with a strength of ${Math.sqrt(energy)}`,
      actual: found ?? "none",
      advice: "Run lqa calibrate with this adapter.",
    });
  }
}

/** Rate 0 needs no coding. */
function nothing(experts: number, left: number): CodedSide {
  return { ...CODERS.zero(experts), distortion: left };
}

/** The encoding of a side at a rate: as it was coded, or as that usually turns out. */
export function encodingOf(side: Side, rate: number): Encoding {
  const coded = side.coded.get(rate);
  if (coded !== undefined) return coded.encoding;
  const [number, mixing] = splitRate(rate);
  if (mixing === undefined) return RATES[number]!.encoding(side.survey.rotation);
  return { ...RATES[number]!.encoding(side.rest.rotation), mix: MIX_BITS[mixing]! };
}

/**
 * What the components of a module offer to the allocation. Where their sensitivities are not known, errors count by module.
 *
 * @param scale what such a loss counts if others are in nats, see {@link sensitivityScale}
 */
export function candidatesOf(
  { module, survey, components, sensitivities }: Subject,
  floor: number,
  fit: Fit,
  scale: number,
): Candidate[] {
  const weight = scale * weightOf(module, survey, fit);
  const points = (side: Side): RatePoint[] => pointsOf(side, module);
  return components.map(({ energy, b, a, fit: own }, i) => ({
    energy,
    weight: sensitivities?.[i] ?? weight,
    b: points(b),
    a: points(a),
    floor: b.left < 1 || a.left < 1 ? 0 : floor,
    fit: own,
  }));
}

/** What a unit of loss by {@link weightOf} is in nats: the mean over the components whose sensitivities are known. */
export function sensitivityScale(subjects: readonly Subject[], fit: Fit): number {
  let nats = 0;
  let units = 0;
  for (const { module, survey, components, sensitivities } of subjects)
    if (sensitivities !== undefined)
      for (const [i, { energy }] of components.entries()) {
        nats += (sensitivities[i]!.b + sensitivities[i]!.a) / 4;
        units += weightOf(module, survey, fit) * energy;
      }
  return nats > 0 && units > 0 ? nats / units : 1;
}

/** The divergence that the losses of a module add, in nats for each token; undefined if its sensitivities are not known. */
export function divergenceOf(
  { components, sensitivities }: Subject,
  choices: readonly Choice[],
  fit: Fit,
): number | undefined {
  if (sensitivities === undefined) return undefined;
  return components.reduce((sum, { b, a }, i) => {
    const lostB = b.coded.get(choices[i]!.b)!.distortion;
    const lostA = a.coded.get(choices[i]!.a)!.distortion;
    return sum + divergenceLoss(lostB, lostA, fit, sensitivities[i]!, 1);
  }, 0);
}

/**
 * What losses of a module count. Each output of a module is disturbed by its share of the error, so the error counts by
 * output: a module with few outputs (v of grouped attention) loses as much by less. And of modules with as many outputs a
 * weaker one counts more than in proportion, by the fourth root of the energy, so that weak layers are not the first to go.
 * Both were chosen by behaviour (docs/fidelity.md). Only ratios matter. With `least-squares` all errors count alike.
 */
function weightOf({ out }: LoraModule, { energies }: Survey, fit: Fit): number {
  if (fit === "least-squares") return 1;
  const energy = energies.reduce((sum, own) => sum + own, 0);
  return energy > 0 ? 1 / (out * Math.sqrt(Math.sqrt(energy))) : 0;
}

function pointsOf(side: Side, { experts, rank }: LoraModule): RatePoint[] {
  const plain = RATES.map((rate, number) => ({
    bits: experts * rateBits(rate, side.length),
    distortion: expectedDistortion(side, number),
  }));
  const started = side.shares.flatMap((_, mixing) => {
    const sizes = planeSizes(mixEncoding({ mix: MIX_BITS[mixing]! }), 1, rank);
    const bits = 8 * (sizes.codes + sizes.zeroPoints + sizes.scales);
    return RATES.map((rate, number) => ({
      bits: bits + rateBits(rate, side.length),
      distortion: expectedDistortion(side, (1 + mixing) * RATES.length + number),
    }));
  });
  return [...plain, ...started];
}

/**
 * What a side loses at a rate: measured if it has been coded at it, else the Gaussian figure times how far off that
 * was at the nearest rate that has been coded, or in the trial.
 */
function expectedDistortion({ coded, survey, rest, shares, left }: Side, rate: number): number {
  const measured = coded.get(rate);
  if (measured !== undefined) return measured.distortion;
  const [number, mixing] = splitRate(rate);
  if (mixing !== undefined)
    return shares[mixing]! * Math.min(number === 0 ? 1 : RATES[number]!.distortion * rest.ratio, 1);
  let nearest = 0;
  for (const other of coded.keys())
    if (other > 0 && other < RATES.length)
      if (nearest === 0 || Math.abs(other - number) < Math.abs(nearest - number)) nearest = other;
  if (nearest === 0 || left === 0) return left * Math.min(RATES[number]!.distortion * survey.ratio, 1);
  const ratio = coded.get(nearest)!.distortion / RATES[nearest]!.distortion;
  return Math.min(RATES[number]!.distortion * ratio, left);
}
