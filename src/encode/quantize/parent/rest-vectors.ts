/**
 * A module with a parent as the vectors that the `rd` profile codes: the differences of its factors, in the parent's basis, from
 * the parent's (spec clause 8.9). If a vector of B' loses the share D, its component loses the share D · left of its energy.
 * @module
 */
import { inputLength } from "../../../model/adapter.ts";
import type { Svd } from "../../linalg/svd.ts";
import { dot } from "../../linalg/vectors.ts";
import {
  type ComponentVectors,
  channelWeights,
  type ModuleVectors,
  type TaskWork,
  unweigh,
  weigh,
} from "../rd/vectors.ts";
import { alignToParent, type ParentFactors } from "./align.ts";

/**
 * The vectors of a module that has a parent. All experts use the same places.
 *
 * @param cores as `moduleVectors`
 * @returns undefined if the parent does not fit
 */
export function restVectors(
  { module, moments }: TaskWork,
  parent: ParentFactors,
  cores?: readonly Svd[],
): ModuleVectors | undefined {
  const { rank, out, experts, multiplier } = module;
  const n = inputLength(module);
  const weights = channelWeights(moments, n);
  const child = { ...module, a: weigh(module.a, weights, rank) };
  const theirs = { ...parent, a: weigh(parent.a, weights, parent.rank) };
  const aligned = [];
  for (let e = 0; e < experts; e++) {
    const own = alignToParent(child, e, expertOf(theirs, e, out, n), cores?.[e]);
    if (own === undefined) return undefined;
    aligned.push({ ...own, parent: expertOf(theirs, e, out, n) });
  }
  const energies: number[] = [];
  const components: ComponentVectors[] = [];
  for (let c = 0; c < rank; c++) {
    const b: Float32Array[] = [];
    const a: Float32Array[] = [];
    let [energy, leftB, leftA] = [0, 0, 0];
    for (const [e, own] of aligned.entries()) {
      const restB = restOf(own.b, own.parent.b, c, out);
      const restA = restOf(own.a, own.parent.a, c, n);
      const [wholeB, wholeA] = [dot(own.b, c * out, own.b, c * out, out), dot(own.a, c * n, own.a, c * n, n)];
      energy += wholeB * wholeA;
      leftB += energyOf(restB) * wholeA;
      leftA += wholeB * energyOf(restA);
      b.push(restB);
      a.push(unweigh(restA, weights?.[e]));
    }
    energies.push(multiplier * multiplier * energy);
    const left = energy === 0 ? { b: 0, a: 0 } : { b: leftB / energy, a: leftA / energy };
    components.push({ b, a, left, started: [] });
  }
  return { energies, components, cores: aligned.map(({ core }) => core), weights };
}

/** The factors of one expert. */
function expertOf({ rank, b, a }: ParentFactors, e: number, out: number, n: number): ParentFactors {
  return {
    rank,
    b: b.subarray(e * rank * out, (e + 1) * rank * out),
    a: a.subarray(e * rank * n, (e + 1) * rank * n),
  };
}

/** Component c minus the parent's; the parent has none beyond its rank. */
function restOf(values: Float64Array, parent: Float32Array, c: number, length: number): Float32Array {
  const rest = new Float32Array(values.subarray(c * length, (c + 1) * length));
  if ((c + 1) * length > parent.length) return rest;
  // From the vector in double precision, so that the difference is rounded once.
  for (let i = 0, at = c * length; i < length; i++, at++) rest[i] = values[at]! - parent[at]!;
  return rest;
}

function energyOf(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return sum;
}
