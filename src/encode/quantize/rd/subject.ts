/**
 * The allocator's view of a module: the possible rates of its vectors, with their cost and error.
 *
 * It does not hold the vectors. They are recomputed when they are coded, from the factors and the SVD of the core that the
 * survey kept, which takes 4 · rank / (out + in) of the memory of the factors in F32.
 *
 * @module
 */

import { planeSizes } from "../../../core/format.ts";
import type { Encoding } from "../../../core/index.ts";
import { MIX_BITS, mixEncoding } from "../../../core/rooms.ts";
import * as KIND from "../../../error-catalogue.ts";
import { fail } from "../../../errors.ts";
import type { LoraModule } from "../../../model/adapter.ts";
import { inputLength, type ModuleShape } from "../../../model/adapter.ts";
import type { Sensitivity } from "../../../model/calibration.ts";
import { queryOf } from "../../../model/layer-names.ts";
import { CALIBRATED } from "../answers.ts";
import { CODERS, type Coded } from "../coders.ts";
import { type Candidate, type Choice, lossOfVectors, type Rates } from "./allocate.ts";
import type { CodedSide } from "./code-module.ts";
import { type ComponentFit, divergenceLoss, type Fit, stretchedError } from "./gain.ts";
import { bitsOfRates, RATES, splitRate } from "./rates.ts";
import { countedRest } from "./rests.ts";
import type { FactorSurvey, Survey } from "./survey.ts";

/** One factor of one component: a vector per expert, all with one encoding. */
export interface Side {
  /** Bits of the planes of one vector, by rate number. */
  readonly bits: readonly number[];
  readonly survey: FactorSurvey;
  /** The survey of the rest that a start leaves; `shares`: its share for each number of bits of a mixture. */
  readonly rest: FactorSurvey;
  readonly shares: readonly number[];
  /** The share of its energy that remains after subtracting a parent, and what it counts like if it is not coded; undefined without one. */
  readonly left: number | undefined;
  readonly dropped: number | undefined;
  /** By rate number. */
  readonly coded: Map<number, CodedSide>;
}

/** A component of a module. */
export interface Component {
  readonly energy: number;
  readonly b: Side;
  readonly a: Side;
  /** How it is fitted. */
  readonly fit: ComponentFit;
}

/** A module and its nonzero components, strongest first. */
export interface Subject {
  readonly module: LoraModule;
  readonly survey: Survey;
  readonly components: readonly Component[];
  readonly sensitivities: readonly Sensitivity[] | undefined;
  /** By how many outputs its errors count, see {@link countedOutputs}. */
  readonly outputs: number;
}

/** By how many outputs the errors of each module count: its own, and those of keys by the queries that meet them. */
export function countedOutputs(modules: readonly ModuleShape[]): number[] {
  const outputs = new Map(modules.map(({ name, out }) => [name, out]));
  return modules.map(({ name, out }) => outputs.get(queryOf(name) ?? name) ?? out);
}

/**
 * Makes the subject of a surveyed module; nothing is coded yet.
 *
 * @throws LqaError SOURCE_IMPORTANCE if the sensitivities belong to another adapter
 */
export function subjectOf(
  module: LoraModule,
  survey: Survey,
  sensitivities: readonly Sensitivity[] | undefined,
  fit: Fit,
  outputs: number,
): Subject {
  // Sensitivities apply to a module's own components, not to differences from a parent.
  const own = survey.left === undefined ? sensitivities : undefined;
  checkStrengths(module, survey, own);
  const bits = { b: bitsOfRates(module.out), a: bitsOfRates(inputLength(module)) };
  const zero = CODERS.zero(module.experts);
  return {
    module,
    survey,
    sensitivities: own,
    outputs,
    components: survey.energies.map((energy, c) => {
      const { rest } = survey;
      const left = survey.left?.[c];
      const dropped = survey.dropped?.[c];
      const side = (factor: "b" | "a", shares: readonly number[]): Side => ({
        ...{ bits: bits[factor], survey: survey[factor], rest, shares, left: left?.[factor] },
        dropped: dropped?.[factor],
        coded: new Map([[0, nothing(zero, left?.[factor], dropped?.[factor])]]),
      });
      return {
        energy,
        b: side("b", []),
        a: side("a", survey.shares[c]!),
        fit: left === undefined ? fit : "rest",
      };
    }),
  };
}

/** A vector that is coded never counts as lost. */
const MOST_ERROR = 0.999;

/** Allowed difference of singular values, as a share of the largest: they were measured in another precision. */
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

/** The error of a vector whose difference from the parent's is coded with a distortion, as a share of the vector's energy. */
export function restError(left: number, distortion: number): number {
  return Math.min(left * stretchedError(distortion), MOST_ERROR);
}

/** The coded side at rate 0. */
function nothing(zero: Coded, left: number | undefined, dropped: number | undefined): CodedSide {
  return left === undefined
    ? { ...zero, distortion: 1 }
    : { ...zero, distortion: left, counted: dropped ?? left };
}

/** The encoding of a side at a rate: the actual one if it is coded, else the usual one. */
export function sideEncoding(side: Side, rate: number): Encoding {
  const coded = side.coded.get(rate);
  if (coded !== undefined) return coded.encoding;
  const [number, mixing] = splitRate(rate);
  if (mixing === undefined) return RATES[number]!.encoding(side.survey.rotation);
  return { ...RATES[number]!.encoding(side.rest.rotation), mix: MIX_BITS[mixing]! };
}

/**
 * The candidates of a module for the allocation. Without sensitivities, errors are weighted by module.
 *
 * @param scale nats per unit of such a weighted loss, see {@link sensitivityScale}
 */
export function candidatesOf(subject: Subject, floor: number, fit: Fit, scale: number): Candidate[] {
  const { module, components, sensitivities } = subject;
  const weight = scale * weightOf(subject, fit);
  return components.map((component, i) => {
    const { energy, b, a, fit: own } = component;
    const key = `${b.coded.size} ${a.coded.size} ${floor}`;
    const before = priced.get(component);
    if (before?.key === key) return before.candidate;
    const candidate = {
      energy,
      weight: sensitivities?.[i] ?? weight,
      b: ratesOf(b, module),
      a: ratesOf(a, module),
      floor: own === "rest" ? 0 : floor,
      fit: own,
    };
    priced.set(component, { key, candidate });
    return candidate;
  });
}

/** The last candidate of each component, and what it depends on: it stays the same while none of its vectors is coded. */
const priced = new WeakMap<Component, { readonly key: string; readonly candidate: Candidate }>();

/**
 * The loss of a module that is coded, weighted as in the allocation.
 *
 * @param scale as for {@link candidatesOf}
 */
export function lossOfSubject(subject: Subject, choices: readonly Choice[], fit: Fit, scale: number): number {
  const { components, sensitivities } = subject;
  const weight = scale * weightOf(subject, fit);
  return components.reduce((sum, { energy, b, a, fit: own }, i) => {
    const [ofB, ofA] = [b.coded.get(choices[i]!.b)!, a.coded.get(choices[i]!.a)!];
    const [
      { distortion: lostB, counted: countedB = lostB },
      { distortion: lostA, counted: countedA = lostA },
    ] = [ofB, ofA];
    const component = { energy, weight: sensitivities?.[i] ?? weight, fit: own };
    return sum + lossOfVectors(component, lostB, countedB, lostA, countedA, fit);
  }, 0);
}

/** Nats per unit of loss by {@link weightOf}: the mean over the components with sensitivities. */
export function sensitivityScale(subjects: readonly Subject[], fit: Fit): number {
  let nats = 0;
  let units = 0;
  for (const subject of subjects) {
    const { components, sensitivities } = subject;
    if (sensitivities !== undefined)
      for (const [i, { energy }] of components.entries()) {
        nats += (sensitivities[i]!.b + sensitivities[i]!.a) / 4;
        units += weightOf(subject, fit) * energy;
      }
  }
  return nats > 0 && units > 0 ? nats / units : 1;
}

/** The divergence that the losses of a module add, in nats per token; undefined without sensitivities. */
export function divergenceOf(
  { components, sensitivities }: Subject,
  choices: readonly Choice[],
  fit: Fit,
): number | undefined {
  if (sensitivities === undefined) return undefined;
  return components.reduce((sum, { b, a }, i) => {
    const [ofB, ofA] = [b.coded.get(choices[i]!.b)!, a.coded.get(choices[i]!.a)!];
    const own = sensitivities[i]!;
    // The sensitivities are of errors that do not lie along the vectors.
    const weighted = { ...own, b: own.b * (ofB.spread ?? 1), a: own.a * (ofA.spread ?? 1) };
    const lostA = ofA.counted ?? ofA.distortion;
    return sum + CALIBRATED * divergenceLoss(ofB.distortion, lostA, fit, weighted, 1);
  }, 0);
}

/**
 * The weight of a module's losses. The error disturbs each output of a module by its share, so the error counts per
 * output: a module with fewer outputs (v of grouped attention) loses more by the same error. Those of keys count by the outputs of their
 * queries, which all meet them. Of modules with equally many
 * outputs, a weaker one counts more than in proportion, by the fourth root of the energy, so that weak layers do not lose
 * everything first. These rules were chosen by behaviour (docs/fidelity.md). Only ratios matter. With `least-squares` all errors
 * count equally.
 */
function weightOf({ outputs, survey: { energies } }: Subject, fit: Fit): number {
  if (fit === "least-squares") return 1;
  const energy = energies.reduce((sum, own) => sum + own, 0);
  return energy > 0 ? 1 / (outputs * Math.sqrt(Math.sqrt(energy))) : 0;
}

function ratesOf(side: Side, { experts, rank }: LoraModule): Rates {
  const bits = side.bits.map((own) => experts * own);
  const distortion = RATES.map((_, number) => expectedDistortion(side, number));
  if (side.left !== undefined)
    return { bits, distortion, counted: [side.dropped ?? side.left, ...distortion.slice(1)] };
  if (side.shares.length === 0) return { bits, distortion, counted: distortion };
  const counted = distortion.slice();
  for (const mixing of side.shares.keys()) {
    const sizes = planeSizes(mixEncoding({ mix: MIX_BITS[mixing]! }), 1, rank);
    for (const [number, own] of side.bits.entries()) {
      bits.push(8 * (sizes.codes + sizes.zeroPoints + sizes.scales) + own);
      distortion.push(expectedDistortion(side, (1 + mixing) * RATES.length + number));
      counted.push(countedRest(distortion[distortion.length - 1]!));
    }
  }
  return { bits, distortion, counted };
}

/**
 * The distortion of a side at a rate: measured if it is coded at this rate; else the Gaussian figure, corrected by the
 * ratio at the nearest coded rate, or in the trial.
 */
function expectedDistortion({ coded, survey, rest, shares, left }: Side, rate: number): number {
  const measured = coded.get(rate);
  if (measured !== undefined) return measured.distortion;
  const [number, mixing] = splitRate(rate);
  if (mixing !== undefined)
    return shares[mixing]! * Math.min(number === 0 ? 1 : RATES[number]!.distortion * rest.ratio, 1);
  if (left !== undefined) return restError(left, Math.min(RATES[number]!.distortion * survey.ratio, 1));
  let nearest = 0;
  for (const other of coded.keys())
    if (other > 0 && other < RATES.length)
      if (nearest === 0 || Math.abs(other - number) < Math.abs(nearest - number)) nearest = other;
  if (nearest === 0) return Math.min(RATES[number]!.distortion * survey.ratio, 1);
  const ratio = coded.get(nearest)!.distortion / RATES[nearest]!.distortion;
  return Math.min(RATES[number]!.distortion * ratio, 1);
}
