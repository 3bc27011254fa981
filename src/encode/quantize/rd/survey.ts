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
import type { ModuleStart } from "../../../core/codecs/start/start.ts";
import { trellisTable } from "../../../core/codecs/trellis.ts";
import type { LoraModule } from "../../../model/adapter.ts";
import type { Svd } from "../../linalg/svd.ts";
import { trialDistortion } from "./code-trellis.ts";
import { type ModuleVectors, moduleVectors } from "./vectors.ts";

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
  /** The core of each expert: 16 · rank² bytes, so that coding needs no second SVD. */
  readonly cores: readonly Svd[];
}

/** Components that are tried. */
const TRIED = 4;
/** The table of 2 bits: between the rates most vectors get. */
const TRIAL_TABLE = 4;
/** Rotation must gain this much, or vectors stay as they are: those can be decoded from anywhere. */
const LEAST_GAIN = 0.02;

/** Surveys a module. */
export function surveyModule(
  module: LoraModule,
  moments: Float64Array | undefined,
  start: ModuleStart | undefined,
): Survey {
  // Of a start, all components say what it leaves of them.
  const count = start === undefined ? TRIED : module.rank;
  const vectors = moduleVectors(module, moments, start, { count });
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
      energy += energies[c]!;
      for (const [expert, vector] of own.entries()) {
        const distortion = trialDistortion(vector, table, { rotation, weights: weights?.[expert] });
        sum += (energies[c]! * distortion) / own.length;
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
