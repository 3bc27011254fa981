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

/** What is known of a module. */
export interface Survey {
  /** multiplier² s² of each component that is not zero, strongest first. */
  readonly energies: readonly number[];
  readonly b: FactorSurvey;
  readonly a: FactorSurvey;
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
export function surveyModule(module: LoraModule, moments: Float64Array | undefined): Survey {
  const vectors = moduleVectors(module, moments, { count: TRIED });
  return {
    energies: vectors.energies,
    b: surveyFactor(vectors, "b", undefined),
    a: surveyFactor(vectors, "a", vectors.weights),
    cores: vectors.cores,
  };
}

function surveyFactor(
  { energies, components }: ModuleVectors,
  factor: "b" | "a",
  weights: readonly Float32Array[] | undefined,
): FactorSurvey {
  const table = trellisTable(TRIAL_TABLE);
  const lost = (rotation: Rotation): number => {
    let sum = 0;
    let energy = 0;
    for (const [c, component] of components.entries()) {
      energy += energies[c]!;
      for (const [expert, vector] of component[factor].entries()) {
        const distortion = trialDistortion(vector, table, { rotation, weights: weights?.[expert] });
        sum += (energies[c]! * distortion) / component[factor].length;
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
