/**
 * Surveys a module before bits are allocated: the energy of its components, whether rotation improves its vectors
 * (spec clause 8.6.1), and the ratio of their distortion to that of normal weights.
 *
 * It codes the strongest components as a trial, with and without rotation. All components of a factor then use the
 * better one, so that rotation splits no band.
 *
 * @module
 */

import { trellisTable } from "../../../core/format.ts";
import type { Rotation } from "../../../core/index.ts";
import { inputLength, type LoraModule } from "../../../model/adapter.ts";
import type { Svd } from "../../linalg/svd.ts";
import { range } from "../parent/align.ts";
import { type AlignedExpert, alignModule, restVectors } from "../parent/rest-vectors.ts";
import { trialDistortion } from "./code-trellis.ts";
import { countedChange } from "./rests.ts";
import { type ComponentVectors, type ModuleVectors, moduleVectors, type TaskWork } from "./vectors.ts";

/** The result of the trial for one factor. */
export interface FactorSurvey {
  readonly rotation: Rotation;
  /** Distortion at the trial's rate, divided by that of normal weights. */
  readonly ratio: number;
}

/** Which vectors to rotate. */
export type Rotations = Readonly<Record<"b" | "a" | "rest", Rotation>>;

/** The survey of a module. */
export interface Survey {
  /** multiplier² s² of each nonzero component, strongest first. */
  readonly energies: readonly number[];
  readonly b: FactorSurvey;
  readonly a: FactorSurvey;
  /** The rest of the vectors of A' that a start leaves. */
  readonly rest: FactorSurvey;
  /** By component and number of bits of a mixture, the remaining share of the vector of A'; empty without a start. */
  readonly shares: readonly (readonly number[])[];
  /**
   * By component, the shares of its vectors that remain after subtracting the parent; absent without a parent, or if the module
   * is not stored as a difference. `dropped`: what a difference that is not coded counts like.
   */
  readonly left?: readonly ComponentVectors["left"][];
  readonly dropped?: readonly ComponentVectors["left"][];
  /** The SVD of each expert's core: 16 · rank² bytes, so that coding needs no second one. None if the module is a difference. */
  readonly cores: readonly Svd[];
  /** How each expert is aligned with the parent, in as much memory; absent if the module is not stored as a difference. */
  readonly aligned?: readonly AlignedExpert[];
}

/** Number of components in the trial. */
const TRIED = 4;
/** The table of 2 bits, between the rates that most vectors get. */
const TRIAL_TABLE = 4;
/** Least gain by rotation. Below it, vectors stay unrotated: these can be decoded from any position. */
const LEAST_GAIN = 0.02;

/** A parent is used if vectors then cost at most this share of their cost without it, by {@link costOf}. */
const WORTHWHILE = 0.9;

/** Surveys a module. */
export function surveyModule(work: TaskWork): Survey {
  const aligned = work.parent && alignModule(work, work.parent);
  if (aligned !== undefined) {
    const tried = range(Math.min(TRIED, work.module.rank));
    const rests = restVectors(work, work.parent!, aligned, { b: tried, a: tried });
    if (costOf(work.module, rests, true) <= WORTHWHILE * costOf(work.module, rests, false)) {
      const { energies, cores } = rests;
      const [b, a] = [surveyRests(rests, "b", tried), surveyRests(rests, "a", tried)];
      const left = rests.components.map((component) => component.left);
      const dropped = left.map((own, c) => ({
        b: countedChange(own.b, rests.noise[c]!.b),
        a: countedChange(own.a, rests.noise[c]!.a),
      }));
      return { energies, b, a, rest: a, shares: energies.map(() => []), left, dropped, cores, aligned };
    }
  }
  // With a start, the trial covers all components, to measure the share that it leaves of each.
  const count = work.start === undefined ? TRIED : work.module.rank;
  return surveyVectors(moduleVectors(work, { count }));
}

/**
 * Approximate size of vectors in a file, in any unit. Bits grow as the logarithm of the energy per weight; its fourth root
 * follows the logarithm over the relevant range, and every engine computes it alike.
 */
function costOf(
  { out, ...shape }: LoraModule,
  { energies, components }: ModuleVectors,
  withParent: boolean,
): number {
  const lengths = { b: out, a: inputLength(shape) };
  let cost = 0;
  for (const [c, own] of components.entries())
    for (const factor of ["b", "a"] as const) {
      const length = lengths[factor];
      const energy = energies[c]! * (withParent ? own.left[factor] : 1);
      cost += length * Math.sqrt(Math.sqrt(energy / length));
    }
  return cost;
}

/** Mean magnitude of normal weights, relative to the root of their mean square. */
const NORMAL_MAGNITUDE = Math.sqrt(2 / Math.PI);
/** How much more is lost at ½ and 1 bit where that is smaller: measured with weights of nine distributions. */
const LOST_BY_SHAPE = 1.5;

/**
 * The survey of differences from a parent, by the shape of their distribution: most get few bits or none, and a trial would cost more
 * than the coding. Rotated weights are nearly normal.
 */
function surveyRests(
  { energies, components }: ModuleVectors,
  factor: "b" | "a",
  tried: readonly number[],
): FactorSurvey {
  let sum = 0;
  let strengths = 0;
  for (const c of tried) {
    const own = components[c]!;
    const strength = energies[c]! * own.left[factor];
    strengths += strength;
    for (const vector of own[factor]) sum += (strength * magnitude(vector)) / own[factor].length;
  }
  const mean = strengths > 0 ? sum / strengths : NORMAL_MAGNITUDE;
  const ratio = Math.max(1, 1 + LOST_BY_SHAPE * (NORMAL_MAGNITUDE - mean));
  return (1 - LEAST_GAIN) * ratio > 1 ? { rotation: "hadamard64", ratio: 1 } : { rotation: "none", ratio };
}

/** The mean magnitude of weights, relative to the root of their mean square. */
function magnitude(vector: Float32Array): number {
  let sum = 0;
  let square = 0;
  for (let i = 0; i < vector.length; i++) {
    const weight = vector[i]!;
    sum += Math.abs(weight);
    square += weight * weight;
  }
  return square > 0 ? sum / Math.sqrt(square * vector.length) : NORMAL_MAGNITUDE;
}

function surveyVectors(vectors: ModuleVectors): Survey {
  return {
    shares: vectors.energies.map((_, c) => vectors.components[c]?.started.map(({ share }) => share) ?? []),
    rest: surveyFactor(vectors, "rest", vectors.weights),
    energies: vectors.energies,
    b: surveyFactor(vectors, "b", undefined),
    a: surveyFactor(vectors, "a", vectors.weights),
    cores: vectors.cores,
  };
}

function surveyFactor(
  { energies, components }: ModuleVectors,
  factor: keyof Rotations,
  weights: readonly Float32Array[] | undefined,
): FactorSurvey {
  const table = trellisTable(TRIAL_TABLE);
  const lost = (rotation: Rotation): number => {
    let sum = 0;
    let energy = 0;
    for (const [c, component] of components.slice(0, TRIED).entries()) {
      const last = component.started[component.started.length - 1];
      if (factor === "rest" && last === undefined) continue;
      const own = factor === "rest" ? [last!.rest] : component[factor];
      const strength = energies[c]! * (factor === "rest" ? 1 : component.left[factor]);
      energy += strength;
      for (const [expert, vector] of own.entries()) {
        const distortion = trialDistortion(vector, table, { rotation, weights: weights?.[expert] });
        sum += (strength * distortion) / own.length;
      }
    }
    return energy === 0 ? 1 : sum / energy / table.distortion;
  };
  const plain = lost("none");
  const rotated = lost("hadamard64");
  return rotated < (1 - LEAST_GAIN) * plain
    ? { rotation: "hadamard64", ratio: rotated }
    : { rotation: "none", ratio: plain };
}
