/**
 * What has to be known of a module before bits are allotted: the energy of its components, whether its vectors are
 * better coded rotated (spec clause 8.6.1), and how far their distortion is from that of normal weights.
 *
 * The strongest components are coded for a trial, with and without rotation; all components of a factor then do the
 * same, so that bands are not split for it.
 *
 * @module
 */
import type { Rotation } from "../../../core/codecs/rotation.ts";
import { trellisTable } from "../../../core/codecs/trellis.ts";
import type { Svd } from "../../linalg/svd.ts";
import { restVectors } from "../parent/rest-vectors.ts";
import { trialDistortion } from "./code-trellis.ts";
import { type ComponentVectors, type ModuleVectors, moduleVectors, type TaskWork } from "./vectors.ts";

/** What a trial says about one factor. */
export interface FactorSurvey {
  readonly rotation: Rotation;
  /** Distortion at the trial's rate, divided by that of normal weights. */
  readonly ratio: number;
}

/** Which vectors are rotated. */
export type Rotations = Readonly<Record<"b" | "a" | "rest", Rotation>>;

/** What is known of a module. */
export interface Survey {
  /** multiplier² s² of each component that is not zero, strongest first. */
  readonly energies: readonly number[];
  readonly b: FactorSurvey;
  readonly a: FactorSurvey;
  /** What a start leaves of the vectors of A'. */
  readonly rest: FactorSurvey;
  /** For each component and each number of bits of a mixture the share of the vector of A' that is left; empty without a start. */
  readonly shares: readonly (readonly number[])[];
  /**
   * For each component the shares of its vectors that the parent leaves; absent if there is no parent, or the module is not stored as
   * what it has beyond it.
   */
  readonly left?: readonly ComponentVectors["left"][];
  /** The core of each expert: 16 · rank² bytes, so that coding needs no second SVD. */
  readonly cores: readonly Svd[];
}

/** Components that are tried. */
const TRIED = 4;
/** The table of 2 bits: between the rates most vectors get. */
const TRIAL_TABLE = 4;
/** Rotation must gain this much, or vectors stay as they are: those can be decoded from anywhere. */
const LEAST_GAIN = 0.02;

/** A parent is used if vectors cost at most this much of what they cost without it, by {@link costOf}. */
const WORTHWHILE = 0.9;

/** Surveys a module. */
export function surveyModule(work: TaskWork): Survey {
  const rests = work.parent && restVectors(work, work.parent);
  if (rests !== undefined && costOf(rests, true) <= WORTHWHILE * costOf(rests, false))
    return { ...surveyVectors(rests), left: rests.components.map(({ left }) => left) };
  // Of a start, all components say what it leaves of them.
  const count = work.start === undefined ? TRIED : work.module.rank;
  return surveyVectors(moduleVectors(work, { count }));
}

/**
 * About what vectors take of a file, in any unit: bits grow as the logarithm of the energy of a weight, which its fourth root follows
 * over the range that matters, and every engine computes alike.
 */
function costOf({ energies, components }: ModuleVectors, withParent: boolean): number {
  let cost = 0;
  for (const [c, own] of components.entries())
    for (const factor of ["b", "a"] as const) {
      const length = own[factor][0]!.length;
      const energy = energies[c]! * (withParent ? own.left[factor] : 1);
      cost += length * Math.sqrt(Math.sqrt(energy / length));
    }
  return cost;
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
