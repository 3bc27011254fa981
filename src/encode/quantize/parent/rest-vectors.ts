/**
 * A module with a parent as the vectors that the `rd` profile codes: the differences of its factors, in the parent's basis, from
 * the parent's (spec clause 8.9). If a vector of B' loses the share D, its component loses the share D · left of its energy.
 * @module
 */
import { inputLength, type LoraModule } from "../../../model/adapter.ts";
import { denseEngine } from "../../linalg/dense.ts";
import { type DenseMatrix, padded } from "../../linalg/engine.ts";
import { type LowRank, pairGram } from "../../linalg/gram.ts";
import type { Svd } from "../../linalg/svd.ts";
import {
  type ComponentVectors,
  channelWeights,
  type ModuleVectors,
  type TaskWork,
  unweigh,
  weigh,
} from "../rd/vectors.ts";
import { factorA, factorB, reparameterize } from "../reparameterize.ts";
import { type Aligned, alignToParent, isKept, type ParentFactors, range } from "./align.ts";

/** One expert of a module in its parent's basis. */
export interface AlignedExpert extends Aligned {
  /** The SVD of the core, if the coefficients are of the module's components, because its own vectors are nearly dependent. */
  readonly core?: Svd;
}

/** A module and its parent, with the inputs weighted. */
interface Pair {
  readonly module: LoraModule;
  readonly parent: ParentFactors;
  readonly weights: readonly Float32Array[] | undefined;
}

/**
 * Aligns the experts of a module with its parent. All of them use the same places.
 *
 * @returns undefined if the parent does not fit
 */
export function alignModule(work: TaskWork, parent: ParentFactors): AlignedExpert[] | undefined {
  const pair = weighted(work, parent);
  const aligned: AlignedExpert[] = [];
  for (let e = 0; e < pair.module.experts; e++) {
    const own = alignExpert(pair, e);
    if (own === undefined) return undefined;
    aligned.push(own);
  }
  return aligned;
}

function alignExpert(pair: Pair, e: number): AlignedExpert | undefined {
  const { rank } = pair.module;
  const theirs = parentOf(pair, e);
  const align = ({ b, a }: LowRank) =>
    alignToParent({ b: pairGram(b, theirs.b), a: pairGram(a, theirs.a) }, rank);
  const aligned = align(ownFactors(pair, e));
  if (aligned !== "dependent") return aligned;
  const { core } = reparameterize(pair.module, e);
  const again = align(ownFactors(pair, e, core));
  return again === undefined || again === "dependent" ? undefined : { ...again, core };
}

/** The vectors of a module with a parent. */
export interface RestVectors extends ModuleVectors {
  /** By component, the share of the energy of its whole vectors that is only noise of the parent, at most `left`. */
  readonly noise: readonly ComponentVectors["left"][];
}

/**
 * The vectors of a module that is aligned with its parent.
 *
 * @param wanted the components whose vectors are needed; the others have none
 */
export function restVectors(
  work: TaskWork,
  parent: ParentFactors,
  aligned: readonly AlignedExpert[],
  wanted: Readonly<Record<"b" | "a", readonly number[]>>,
): RestVectors {
  const { rank, multiplier } = work.module;
  const pair = weighted(work, parent);
  const vectors = {
    b: range(rank).map((): Float32Array[] => []),
    a: range(rank).map((): Float32Array[] => []),
  };
  for (const [e, expert] of aligned.entries()) {
    const [own, theirs] = [ownFactors(pair, e, expert.core), parentOf(pair, e)];
    for (const factor of ["b", "a"] as const) {
      const rests = restsOf(own[factor], theirs[factor], expert[factor].coefficients, wanted[factor]);
      for (const [k, rest] of rests.entries())
        vectors[factor][wanted[factor][k]!]!.push(factor === "a" ? unweigh(rest, pair.weights?.[e]) : rest);
    }
  }
  const energies: number[] = [];
  const components: ComponentVectors[] = [];
  const noise: ComponentVectors["left"][] = [];
  for (let c = 0; c < rank; c++) {
    let [energy, leftB, leftA, noiseB, noiseA] = [0, 0, 0, 0, 0];
    for (const [e, { b, a }] of aligned.entries()) {
      const noiseOf = (factor: "b" | "a", rest: number): number =>
        c < parent.rank ? Math.min(rest, parent.noise[factor][e * parent.rank + c]!) : 0;
      energy += b.whole[c]! * a.whole[c]!;
      leftB += b.rest[c]! * a.whole[c]!;
      leftA += b.whole[c]! * a.rest[c]!;
      noiseB += noiseOf("b", b.rest[c]!) * a.whole[c]!;
      noiseA += b.whole[c]! * noiseOf("a", a.rest[c]!);
    }
    const shares = (b: number, a: number): ComponentVectors["left"] =>
      energy === 0 ? { b: 0, a: 0 } : { b: b / energy, a: a / energy };
    energies.push(multiplier * multiplier * energy);
    components.push({
      ...{ b: vectors.b[c]!, a: vectors.a[c]!, started: [] },
      left: shares(leftB, leftA),
    });
    noise.push(shares(noiseB, noiseA));
  }
  return { energies, components, cores: [], weights: pair.weights, noise };
}

function weighted({ module, moments }: TaskWork, parent: ParentFactors): Pair {
  const weights = channelWeights(moments, inputLength(module));
  return {
    module: { ...module, a: weigh(module.a, weights, module.rank) },
    parent: { ...parent, a: weigh(parent.a, weights, parent.rank) },
    weights,
  };
}

/** The factors of one expert of the module; with a core, its components. */
function ownFactors({ module }: Pair, e: number, core?: Svd): LowRank {
  if (core === undefined) return { b: factorB(module, e), a: factorA(module, e) };
  const { rank, out, n, b, a } = reparameterize(module, e, { core });
  return {
    b: { values: b, rows: out, columns: rank, order: "columns" },
    a: { values: a, rows: n, columns: rank, order: "columns" },
  };
}

/** The parent's factors of one expert. */
function parentOf({ module, parent: { rank, b, a } }: Pair, e: number): LowRank {
  const own = (values: Float32Array, rows: number): DenseMatrix => ({
    values: values.subarray(e * rank * rows, (e + 1) * rank * rows),
    ...{ rows, columns: rank, order: "columns" },
  });
  return { b: own(b, module.out), a: own(a, inputLength(module)) };
}

/** Combinations of a module's vectors, each minus the parent's vector in its place; the parent has none beyond its rank. */
function restsOf(
  own: DenseMatrix,
  theirs: DenseMatrix,
  coefficients: Float64Array,
  places: readonly number[],
): Float32Array[] {
  if (places.length === 0) return [];
  const { rows, columns: rank } = own;
  const stride = padded(places.length);
  const weights = new Float64Array(padded(rank) * stride);
  for (const [k, place] of places.entries())
    for (let c = 0; c < rank; c++) weights[c * stride + k] = coefficients[place * rank + c]!;
  const combined = denseEngine().times(own, weights, places.length);
  return places.map((place, k) => {
    const rest = new Float32Array(rows);
    if (isKept(coefficients, place, rank)) return rest;
    const [from, at] = [k * rows, place * rows];
    if (place >= theirs.columns) rest.set(combined.subarray(from, from + rows));
    // In double precision, so that the difference is rounded once.
    else for (let i = 0; i < rows; i++) rest[i] = combined[from + i]! - theirs.values[at + i]!;
    return rest;
  });
}
