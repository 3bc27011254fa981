/**
 * A module as the vectors that the `rd` profile codes: its components, and how much an error in each weight matters.
 *
 * With moments d of the module's inputs, the error is Σ_j w_j ‖column j‖² of ΔW − ΔŴ, where w_j = √d_j. With w_j = d_j it
 * would be the error of the output, but that weakens ΔW where inputs are small, and was worse on tasks
 * (docs/results.md). The components are those of ΔW·diag(√w), which are orthogonal in that measure. A vector of A' is that
 * of the reparameterized A·diag(√w), divided by √w again: its errors are weighted by w_j, those of B' equally. Everything else
 * (energies, rates, allocation) is the same as without moments.
 * @module
 */

import type { ModuleStart } from "../../../core/index.ts";
import { drawsOf } from "../../../core/rooms.ts";

import { inputLength, type LoraModule } from "../../../model/adapter.ts";
import type { Directions, TunedVectors } from "../../../model/calibration.ts";
import type { Svd } from "../../linalg/svd.ts";
import type { ParentFactors } from "../parent/align.ts";
import { reparameterize } from "../reparameterize.ts";
import { type Started, startVectors } from "./rests.ts";

/** The input of every task. */
export interface TaskWork {
  readonly module: LoraModule;
  /** E[x_j²] of the module's inputs in the layout of A without its rank, `[experts][in · kernel]`, if known. */
  readonly moments: Float64Array | undefined;
  /** The position of the draws of A, if it is known; only for a module without experts. */
  readonly start?: ModuleStart | undefined;
  /** The parent's factors, if the module has a parent; then it has no start. */
  readonly parent?: ParentFactors | undefined;
  /** How errors of its vectors add up, if it is known; only for a module without experts and moments. */
  readonly directions?: Directions | undefined;
  /** Vectors to code in place of the module's own; only for a module without experts and moments. */
  readonly tuned?: TunedVectors | undefined;
}

/** A component: its vectors in every expert; with a parent, their differences from the parent's (spec clause 8.9). */
export interface ComponentVectors {
  readonly b: readonly Float32Array[];
  readonly a: readonly Float32Array[];
  /** The share of the energy of the whole vectors that remains: 1 without a parent. */
  readonly left: Readonly<Record<"b" | "a", number>>;
  /** The vector of A' with a start, for each number of bits of its mixture; empty if the module has none. */
  readonly started: readonly Started[];
}

/** The nonzero components of a module, strongest first; with a parent all of them, in the parent's order. */
export interface ModuleVectors {
  /** multiplier² s² of each, summed over experts: the energy of the whole component. */
  readonly energies: readonly number[];
  /** All components, or only the requested number of the strongest. */
  readonly components: readonly ComponentVectors[];
  /** The SVD of each expert's core, to reparameterize the module again faster. */
  readonly cores: readonly Svd[];
  /** Per expert, the weight of the squared error of each entry of A'; about 1 on average. Absent: all equal. */
  readonly weights: readonly Float32Array[] | undefined;
}

/**
 * This share of the mean weight is added to all weights, as GPTQ does for its Hessian: a channel that the calibration data hardly
 * used may still matter.
 */
const DAMPING = 0.01;

/**
 * Reparameterizes a module. Component c of each expert is its own c-th strongest.
 *
 * @param work its parent is ignored
 * @param count number of components whose vectors are needed; default all
 * @param cores cores of the same module with the same moments, if they are known
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
  return {
    energies,
    components: withStart(components, start, rank, weights),
    cores: experts.map(({ core }) => core),
    weights,
  };
}

/** Adds what the start of a module leaves of its vectors of A'. */
function withStart(
  components: readonly Omit<ComponentVectors, "started">[],
  start: ModuleStart | undefined,
  rank: number,
  weights: readonly Float32Array[] | undefined,
): ComponentVectors[] {
  const vectors = components.map(({ a }) => a[0]!);
  const draws = start && drawsOf(start, new Int16Array(rank * (vectors[0]?.length ?? 0)));
  const started = draws === undefined ? [] : startVectors(vectors, draws, weights?.[0]);
  return components.map((own, c) => ({ ...own, started: started[c] ?? [] }));
}

/** The components that tuned vectors are, strongest first. */
export function tunedComponents(
  { out, rank, ...shape }: LoraModule,
  { b, a }: TunedVectors,
  start?: ModuleStart,
): ComponentVectors[] {
  const n = inputLength(shape);
  const components = Array.from({ length: b.length / out }, (_, c) => ({
    b: [b.slice(c * out, (c + 1) * out)],
    a: [a.slice(c * n, (c + 1) * n)],
    left: { b: 1, a: 1 },
  }));
  return withStart(components, start, rank, undefined);
}

/**
 * The weights of errors of input channels: roots of moments per expert, with a mean of 1 over all experts, damped. Undefined (all
 * equal) if the moments have no energy.
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

/** Multiplies rows of A, `[expert][row][n]`, by the roots of their expert's weights. */
export function weigh(
  a: Float32Array,
  weights: readonly Float32Array[] | undefined,
  rows: number,
): Float32Array {
  return weights === undefined ? a : times(a, weights, rows, Math.sqrt);
}

/** Divides a row of A by the roots of its weights. */
export function unweigh(row: Float32Array, weights: Float32Array | undefined): Float32Array {
  return weights === undefined ? row : times(row, [weights], 1, (weight) => 1 / Math.sqrt(weight));
}

/** Multiplies rows of A, `[expert][row][n]`, by a function of their expert's weights. */
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
