/**
 * A module with a parent as the vectors that the `rd` profile codes: the differences of its factors, in the parent's basis, from
 * the parent's (spec clause 8.9). If a vector of B' loses the share D, its component loses the share D · left of its energy.
 * @module
 */
import { inputLength, type LoraModule } from "../../../model/adapter.ts";
import type { DenseMatrix } from "../../linalg/engine.ts";
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
import { type Aligned, alignToParent, isKept, type ParentFactors } from "./align.ts";

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

/** The vectors of a module that is aligned with its parent. Each is computed when it is read. */
export function restVectors(
  work: TaskWork,
  parent: ParentFactors,
  aligned: readonly AlignedExpert[],
): ModuleVectors {
  const { rank, multiplier } = work.module;
  const pair = weighted(work, parent);
  const factors = aligned.map((own, e) => ({
    own: ownFactors(pair, e, own.core),
    theirs: parentOf(pair, e),
  }));
  const vectors = (factor: "b" | "a", c: number): Float32Array[] =>
    aligned.map((own, e) => {
      const rest = restOf(factors[e]!.own[factor], factors[e]!.theirs[factor], own[factor].coefficients, c);
      return factor === "a" ? unweigh(rest, pair.weights?.[e]) : rest;
    });
  const energies: number[] = [];
  const components: ComponentVectors[] = [];
  for (let c = 0; c < rank; c++) {
    let [energy, leftB, leftA] = [0, 0, 0];
    for (const { b, a } of aligned) {
      energy += b.whole[c]! * a.whole[c]!;
      leftB += b.rest[c]! * a.whole[c]!;
      leftA += b.whole[c]! * a.rest[c]!;
    }
    energies.push(multiplier * multiplier * energy);
    components.push({
      get b() {
        return vectors("b", c);
      },
      get a() {
        return vectors("a", c);
      },
      left: energy === 0 ? { b: 0, a: 0 } : { b: leftB / energy, a: leftA / energy },
      started: [],
    });
  }
  return { energies, components, cores: [], weights: pair.weights };
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

/** A combination of a module's vectors, minus the parent's vector in that place; the parent has none beyond its rank. */
function restOf(
  own: DenseMatrix,
  theirs: DenseMatrix,
  coefficients: Float64Array,
  place: number,
): Float32Array {
  const { rows, columns: rank } = own;
  if (isKept(coefficients, place, rank)) return new Float32Array(rows);
  // In double precision, so that the difference is rounded once.
  const rest = new Float64Array(rows);
  if (place < theirs.columns)
    for (let i = 0, at = place * rows; i < rows; i++, at++) rest[i] = -theirs.values[at]!;
  addCombination(own, coefficients.subarray(place * rank, (place + 1) * rank), rest);
  return new Float32Array(rest);
}

/** Adds a combination of the columns of a matrix. */
function addCombination(
  { values, rows, columns, order }: DenseMatrix,
  weights: Float64Array,
  sums: Float64Array,
): void {
  const [row, column] = order === "rows" ? [columns, 1] : [1, rows];
  let c = 0;
  for (; c + 4 <= columns; c += 4) {
    const [w0, w1, w2, w3] = [weights[c]!, weights[c + 1]!, weights[c + 2]!, weights[c + 3]!];
    for (let i = 0, at = c * column; i < rows; i++, at += row)
      sums[i]! +=
        w0 * values[at]! +
        w1 * values[at + column]! +
        (w2 * values[at + 2 * column]! + w3 * values[at + 3 * column]!);
  }
  for (; c < columns; c++)
    for (let i = 0, at = c * column; i < rows; i++, at += row) sums[i]! += weights[c]! * values[at]!;
}
