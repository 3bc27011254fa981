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
import type { ParentFactors } from "../parent/align.ts";
import { reparameterize } from "../reparameterize.ts";
import { type Started, startVectors } from "./rests.ts";

/** What every task works on. */
export interface TaskWork {
  readonly module: LoraModule;
  /** E[x_j²] of the module's inputs in the layout of A without its rank, `[experts][in · kernel]`, if known. */
  readonly moments: Float64Array | undefined;
  /** Where the draws of A begin, if that is known; of a module without experts. */
  readonly start?: ModuleStart | undefined;
  /** The parent's factors, if the module has one: then it has no start. */
  readonly parent?: ParentFactors | undefined;
}

/** A component: its vectors in every expert; with a parent, what is left of them after the parent's (spec clause 8.9). */
export interface ComponentVectors {
  readonly b: readonly Float32Array[];
  readonly a: readonly Float32Array[];
  /** The share of the energy of the whole vectors that is left: 1 without a parent. */
  readonly left: Readonly<Record<"b" | "a", number>>;
  /** The vector of A' with a start, for each number of bits of its mixture; empty where the module has none. */
  readonly started: readonly Started[];
}

/** The components of a module that are not zero, strongest first; with a parent all of them, in the parent's order. */
export interface ModuleVectors {
  /** multiplier² s² of each, summed over experts: the energy of the whole component. */
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
 * @param work a parent is not looked at
 * @param count the components whose vectors are wanted; default all
 * @param cores those of the same module with the same moments, if it was reparameterized before
 */
export function moduleVectors(
  { module, moments, start }: TaskWork,
  { count = module.rank, cores }: { readonly count?: number; readonly cores?: readonly Svd[] } = {},
): ModuleVectors {
  const { rank } = module;
  const n = inputLength(module);
  const weights = channelWeights(moments, n);
  const source = { ...module, a: weigh(module.a, weights, rank) };
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
      a: experts.map(({ a }, e) => unweigh(new Float32Array(a.subarray(c * n, (c + 1) * n)), weights?.[e])),
      left: { b: 1, a: 1 },
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

/**
 * What errors of inputs count: roots of moments by expert, with a mean of 1 over all of them, damped. Without any energy they say
 * nothing: all alike.
 */
export function channelWeights(moments: Float64Array | undefined, n: number): Float32Array[] | undefined {
  if (moments === undefined) return undefined;
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

/** Rows of A, `[expert][row][n]`, times the roots of the weights of their expert. */
export function weigh(
  a: Float32Array,
  weights: readonly Float32Array[] | undefined,
  rows: number,
): Float32Array {
  return weights === undefined ? a : times(a, weights, rows, Math.sqrt);
}

/** A row of A without the roots of its weights. */
export function unweigh(row: Float32Array, weights: Float32Array | undefined): Float32Array {
  return weights === undefined ? row : times(row, [weights], 1, (weight) => 1 / Math.sqrt(weight));
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
