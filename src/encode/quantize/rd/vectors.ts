/**
 * A module as the vectors that the `rd` profile codes: its components, and how much an error in each weight matters.
 *
 * With moments d of the module's inputs, what counts is Σ_j w_j ‖column j‖² of ΔW − ΔŴ, where w_j = √d_j. With w_j = d_j it
 * would be the error of the output, but ΔW is then weakened where inputs are small, and on tasks that did more harm
 * (docs/results.md). The components are those of ΔW·diag(√w), which are orthogonal in that measure, and a vector of A' is that
 * of the reparameterized A·diag(√w), divided by √w again: its errors weigh w_j, those of B' alike. Everything else (energies,
 * rates, allocation) is the same as without.
 *
 * @module
 */

import { drawsOf } from "../../../core/codecs/start/draws.ts";
import type { ModuleStart } from "../../../core/codecs/start/start.ts";
import { inputLength, type LoraModule } from "../../../model/adapter.ts";
import type { Svd } from "../../linalg/svd.ts";
import { reparameterize } from "../reparameterize.ts";
import { type Started, startVectors } from "./rests.ts";

/** A component: its vectors in every expert. */
export interface ComponentVectors {
  readonly b: readonly Float32Array[];
  readonly a: readonly Float32Array[];
  /** The vector of A' with a start, for each number of bits of its mixture; empty where the module has none. */
  readonly started: readonly Started[];
}

/** The components of a module that are not zero, strongest first. */
export interface ModuleVectors {
  /** multiplier² s² of each, summed over experts. */
  readonly energies: readonly number[];
  /** All of them, or only the requested number from the start. */
  readonly components: readonly ComponentVectors[];
  /** The core of each expert, for when the module is wanted again. */
  readonly cores: readonly Svd[];
  /** For each expert, what a squared error of each weight of A' counts; about 1 on average. Absent: all alike. */
  readonly weights: readonly Float32Array[] | undefined;
}

/**
 * This share of the mean weight is added to all, as GPTQ does to its Hessian: a channel that the calibration data hardly
 * used is not free of use.
 */
const DAMPING = 0.01;

/**
 * Reparameterizes a module. Component c of each expert is its own c-th strongest.
 *
 * @param moments E[x_j²] in the layout of A without its rank, `[experts][in · kernel]`, if known
 * @param start where the draws of A begin, if that is known; of a module without experts
 * @param count the components whose vectors are wanted; default all
 * @param cores those of the same module with the same moments, if it was reparameterized before
 */
export function moduleVectors(
  module: LoraModule,
  moments: Float64Array | undefined,
  start: ModuleStart | undefined,
  { count = module.rank, cores }: { readonly count?: number; readonly cores?: readonly Svd[] } = {},
): ModuleVectors {
  const { rank } = module;
  const n = inputLength(module);
  const weights = moments === undefined ? undefined : channelWeights(moments, n);
  const source = weights === undefined ? module : { ...module, a: times(module.a, weights, rank, Math.sqrt) };
  const experts = Array.from({ length: module.experts }, (_, expert) =>
    reparameterize(source, expert, { count, core: cores?.[expert] }),
  );
  const square = module.multiplier * module.multiplier;
  const energies: number[] = [];
  const components: Omit<ComponentVectors, "started">[] = [];
  for (let c = 0; c < rank; c++) {
    if (experts.every(({ singularValues }) => singularValues[c] === 0)) break;
    energies.push(experts.reduce((sum, { singularValues: s }) => sum + square * s[c]! * s[c]!, 0));
    if (c >= count) continue;
    components.push({
      b: experts.map(({ b, out }) => new Float32Array(b.subarray(c * out, (c + 1) * out))),
      a: experts.map(({ a }, expert) => {
        const vector = new Float32Array(a.subarray(c * n, (c + 1) * n));
        return weights === undefined
          ? vector
          : times(vector, [weights[expert]!], 1, (weight) => 1 / Math.sqrt(weight));
      }),
    });
  }
  const started =
    start === undefined
      ? []
      : startVectors(
          components.map(({ a }) => a[0]!),
          drawsOf(start, new Int16Array(rank * n)),
          weights?.[0],
        );
  return {
    energies,
    components: components.map((own, c) => ({ ...own, started: started[c] ?? [] })),
    cores: experts.map(({ core }) => core),
    weights,
  };
}

/** Roots of moments by expert, with a mean of 1 over all of them, damped. Without any energy they say nothing: all alike. */
function channelWeights(moments: Float64Array, n: number): Float32Array[] | undefined {
  const roots = moments.map(Math.sqrt);
  const mean = roots.reduce((sum, root) => sum + root, 0) / roots.length;
  if (!(mean > 0)) return undefined;
  return Array.from({ length: roots.length / n }, (_, expert) =>
    Float32Array.from(
      roots.subarray(expert * n, (expert + 1) * n),
      (root) => (root / mean + DAMPING) / (1 + DAMPING),
    ),
  );
}

/** Rows of A, `[expert][row][n]`, times a function of the weights of their expert. */
function times(
  a: Float32Array,
  weights: readonly Float32Array[],
  rows: number,
  factor: (weight: number) => number,
): Float32Array {
  const product = new Float32Array(a.length);
  let at = 0;
  for (const weight of weights) {
    const factors = weight.map(factor);
    for (let row = 0; row < rows; row++)
      for (let j = 0; j < factors.length; j++, at++) product[at] = a[at]! * factors[j]!;
  }
  return product;
}
