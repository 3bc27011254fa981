/**
 * Rate-distortion allocation: how many bits each component gets (Lagrangian over all modules at once).
 *
 * A component of energy E = multiplier² s² whose vectors are coded with distortions D_b and D_a keeps (1 − D_b)(1 − D_a) of
 * it; `gain.ts` computes its loss. Every component starts at its floor; then upgrades are bought in the order of
 * loss saved per bit. Only points on the lower convex hull of (bits, loss) are bought, so that this greedy order is the
 * Lagrangian one. The rest of a budget goes to any upgrade that still fits.
 *
 * Deterministic: only + − × ÷ and comparisons; ties are broken by position.
 *
 * @module
 */

import type { Sensitivity } from "../../../model/calibration.ts";
import { type ComponentFit, divergenceLoss, type Fit, lossOf } from "./gain.ts";

/** The share of its energy that a vector loses. */
export interface Lost {
  /** ‖x − x̂‖² / ‖x‖² after the scale is fitted. */
  readonly distortion: number;
  /** What that counts like in the loss, if it differs. */
  readonly counted?: number;
}

/** The ways to code one vector, by rate number. */
export interface Rates {
  /** Bits of all planes of the vector, scales included. */
  readonly bits: readonly number[];
  /** As in {@link Lost}. */
  readonly distortion: readonly number[];
  readonly counted: readonly number[];
}

/** A component to code: all possible rates of its B' and A' vectors. */
export interface Candidate {
  /** multiplier² s², summed over experts. */
  readonly energy: number;
  /** Weight of its loss per unit of energy; or, if it is known, the effect of errors of its vectors on the model's answers. */
  readonly weight: number | Sensitivity;
  /** Rates of the B' vector and of the A' vector. */
  readonly b: Rates;
  readonly a: Rates;
  /** Smallest rate number that either vector may have. */
  readonly floor: number;
  /** How it is fitted, if it differs from the others. */
  readonly fit?: ComponentFit;
}

/** Rate numbers of a component's two vectors. */
export interface Choice {
  readonly b: number;
  readonly a: number;
}

/** What rates of vectors cost and lose. `error`: the squared error; `loss`: what it counts like, weighted. */
interface Cost {
  readonly bits: number;
  readonly loss: number;
  readonly error: number;
}

interface Point extends Choice, Cost {}

/** An allocation, and its cost by the given distortions. */
export interface Allocation extends Cost {
  readonly choices: readonly Choice[];
}

/** When to stop buying: at a number of bits, or when the squared error is small enough. */
export type Goal = { readonly bits: number } | { readonly error: number };

/**
 * Allocates rates to components.
 *
 * With a goal in bits, the result exceeds it only if the floors alone do; the rest is spent on upgrades that
 * still fit, best first. With a goal in error, buying stops when it is reached. The last step usually goes beyond it; what that leaves
 * is saved elsewhere, among differences from a parent.
 */
export function allocate(candidates: readonly Candidate[], goal: Goal, fit: Fit): Allocation {
  const chosen = candidates.map((candidate) => firstPoint(candidate, fit));
  let bits = chosen.reduce((sum, point) => sum + point.bits, 0);
  let error = chosen.reduce((sum, point) => sum + point.error, 0);
  const position = new Int32Array(candidates.length);
  const isReached = (): boolean => "error" in goal && error <= goal.error;
  for (const { component, step, point } of upgrades(candidates, fit, "error" in goal)) {
    if (isReached()) break;
    // A step must follow the one before it: if one did not fit, those above it are unreachable.
    if (position[component] !== step - 1) continue;
    const before = chosen[component]!;
    const more = point.bits - before.bits;
    if ("bits" in goal && bits + more > goal.bits) continue;
    position[component] = step;
    chosen[component] = point;
    bits += more;
    error += point.error - before.error;
  }
  if ("bits" in goal) {
    for (let round = 0; round < FILLING; round++) {
      const better = bestUpgrade(candidates, chosen, goal.bits - bits, fit);
      if (better === undefined) break;
      bits += better.point.bits - chosen[better.component]!.bits;
      chosen[better.component] = better.point;
    }
  } else {
    for (let round = 0; round < FILLING; round++) {
      const cheaper = bestSaving(candidates, chosen, goal.error - error, fit);
      if (cheaper === undefined) break;
      const before = chosen[cheaper.component]!;
      bits += cheaper.point.bits - before.bits;
      error += cheaper.point.error - before.error;
      chosen[cheaper.component] = cheaper.point;
    }
  }
  const sum = (what: "loss" | "error"): number => chosen.reduce((total, point) => total + point[what], 0);
  return { choices: chosen.map(({ b, a }) => ({ b, a })), bits, loss: sum("loss"), error: sum("error") };
}

/** Most upgrades that are bought with the rest of a budget, or savings that the rest of an error allows: small adapters have coarse steps. */
const FILLING = 4;
/** With more components than this, the rest is a negligible part of the budget. */
const FILL_UP_TO = 1024;

/** The upgrade of one component that fits into `room` bits and saves most. */
function bestUpgrade(
  candidates: readonly Candidate[],
  chosen: readonly Point[],
  room: number,
  fit: Fit,
): { readonly component: number; readonly point: Point } | undefined {
  if (candidates.length > FILL_UP_TO || room <= 0) return undefined;
  let best: { component: number; point: Point } | undefined;
  let most = 0;
  for (const [component, candidate] of candidates.entries()) {
    const now = chosen[component]!;
    for (const point of pointsOf(candidate, fit)) {
      const saved = now.loss - point.loss;
      if (point.bits - now.bits > room || saved <= most) continue;
      most = saved;
      best = { component, point };
    }
  }
  return best;
}

/** The rates of one component that add at most `room` to the error and save most bits; only where differences from a parent are coded. */
function bestSaving(
  candidates: readonly Candidate[],
  chosen: readonly Point[],
  room: number,
  fit: Fit,
): { readonly component: number; readonly point: Point } | undefined {
  if (candidates.length > FILL_UP_TO || room <= 0) return undefined;
  let best: { component: number; point: Point } | undefined;
  let most = 0;
  for (const [component, candidate] of candidates.entries()) {
    const now = chosen[component]!;
    const { b, a } = candidate;
    if (candidate.fit !== "rest" || now.bits <= most) continue;
    for (const [i, ofB] of b.bits.entries())
      for (const [j, ofA] of a.bits.entries()) {
        if (now.bits - ofB - ofA <= most || !isUseful(candidate, i, j)) continue;
        if (errorAt(candidate, i, j, fit) - now.error > room) continue;
        best = { component, point: pointAt(candidate, i, j, fit) };
        most = now.bits - best.point.bits;
      }
  }
  return best;
}

/** One step along the hull of a component, to a point. */
interface Upgrade {
  readonly component: number;
  readonly step: number;
  readonly slope: number;
  readonly point: Point;
}

/** Each part of the upgrades has slopes down to this share of those before. */
const PART = 0.25;

/**
 * All steps of all hulls, those that save most per bit first. In parts, if most are not needed: a hull is computed when one of its steps
 * may be next.
 */
function* upgrades(candidates: readonly Candidate[], fit: Fit, inParts: boolean): Generator<Upgrade> {
  const bounds = candidates.map((candidate) =>
    inParts ? mostSlope(candidate, fit) : Number.POSITIVE_INFINITY,
  );
  const highest = bounds.reduce(
    (most, bound) => (bound < Number.POSITIVE_INFINITY ? Math.max(most, bound) : most),
    0,
  );
  let below = Number.POSITIVE_INFINITY;
  let from = inParts ? PART * highest : 0;
  for (;;) {
    const part: Upgrade[] = [];
    for (const [component, candidate] of candidates.entries()) {
      if (bounds[component]! < from) continue;
      const hull = hullOf(candidate, fit);
      for (let step = 1; step < hull.length; step++) {
        const [before, point] = [hull[step - 1]!, hull[step]!];
        const slope = (before.loss - point.loss) / (point.bits - before.bits);
        if (slope >= from && slope < below) part.push({ component, step, slope, point });
      }
    }
    yield* part.sort((x, y) => y.slope - x.slope || x.component - y.component || x.step - y.step);
    if (from === 0) return;
    below = from;
    from = from > PART ** PARTS * highest ? PART * from : 0;
  }
}

/** Most parts but one. */
const PARTS = 16;

/** What a component costs and loses before any upgrade. */
function firstPoint(candidate: Candidate, fit: Fit): Point {
  return candidate.floor === 0 ? pointAt(candidate, 0, 0, fit) : hullOf(candidate, fit)[0]!;
}

/** No step of the hull of a component saves more per bit: as if the cheapest rates lost nothing. */
function mostSlope(candidate: Candidate, fit: Fit): number {
  const { b, a, floor } = candidate;
  if (floor > 0 || b.bits[0]! + a.bits[0]! > 0) return Number.POSITIVE_INFINITY;
  const leastOf = (bits: readonly number[]): number =>
    bits.reduce((least, own) => (own > 0 ? Math.min(least, own) : least), Number.POSITIVE_INFINITY);
  // One vector alone is coded only if the other one loses nothing.
  return lossAt(candidate, 0, 0, fit) / Math.min(leastOf(b.bits), leastOf(a.bits));
}

/**
 * The hulls that are known. An error goal takes several rounds, in each of which most components are the candidates that they were
 * before.
 */
const known: Readonly<Record<Fit, WeakMap<Candidate, readonly Point[]>>> = {
  unbiased: new WeakMap(),
  "least-squares": new WeakMap(),
};

function hullOf(candidate: Candidate, fit: Fit): readonly Point[] {
  let hull = known[fit].get(candidate);
  if (hull === undefined) known[fit].set(candidate, (hull = convexHull(candidate, fit)));
  return hull;
}

/** Whether a pair of rates makes sense. If one vector is zero, so is the product: coding the other one is useless. */
const isUseful = ({ b, a }: Candidate, i: number, j: number): boolean =>
  i === j || (b.distortion[i]! < 1 && a.distortion[j]! < 1);

/** Pairs of rates from the floor up. */
function pointsOf(candidate: Candidate, fit: Fit): Point[] {
  const { b, a, floor } = candidate;
  const points: Point[] = [];
  for (let i = floor; i < b.bits.length; i++)
    for (let j = floor; j < a.bits.length; j++)
      if (isUseful(candidate, i, j)) points.push(pointAt(candidate, i, j, fit));
  return points;
}

function pointAt(candidate: Candidate, b: number, a: number, fit: Fit): Point {
  const bits = candidate.b.bits[b]! + candidate.a.bits[a]!;
  return { b, a, bits, loss: lossAt(candidate, b, a, fit), error: errorAt(candidate, b, a, fit) };
}

function lossAt(candidate: Candidate, i: number, j: number, others: Fit): number {
  const { b, a } = candidate;
  return lossOfVectors(candidate, b.distortion[i]!, b.counted[i]!, a.distortion[j]!, a.counted[j]!, others);
}

/** What a component loses with vectors that lose these shares, weighted. */
export function lossOfVectors(
  { energy, weight, fit: own }: Pick<Candidate, "energy" | "weight" | "fit">,
  lostB: number,
  countedB: number,
  lostA: number,
  countedA: number,
  others: Fit,
): number {
  const fit = own ?? others;
  if (fit === "rest") return Number(weight) * changedError(energy, countedB, countedA);
  // The least squared error counts every error as it is.
  const felt = fit === "least-squares" ? lostA : countedA;
  if (typeof weight !== "number") return divergenceLoss(lostB, felt, fit, weight);
  return weight * energy * lossOf((1 - lostB) * (1 - felt), fit);
}

/** The squared error of a component with its vectors at these rates. */
function errorAt({ energy, b, a, fit: own }: Candidate, i: number, j: number, others: Fit): number {
  const fit = own ?? others;
  if (fit === "rest") return changedError(energy, b.counted[i]!, a.counted[j]!);
  return energy * lossOf((1 - b.distortion[i]!) * (1 - a.distortion[j]!), fit, 1);
}

/** The error of a component with a parent: what changed and is lost counts as more than its energy, also for a goal in error. */
export const changedError = (energy: number, countedB: number, countedA: number): number =>
  energy * lossOf((1 - countedB) * (1 - countedA), "rest", 1);

/** Pairs of rates that no mixture of others beats, by ascending bits. */
function convexHull(candidate: Candidate, fit: Fit): Point[] {
  const { b, a } = candidate;
  const hull: Point[] = [];
  for (const pair of byBits(candidate)) {
    const j = pair % a.bits.length;
    const i = (pair - j) / a.bits.length;
    if (!isUseful(candidate, i, j)) continue;
    const loss = lossAt(candidate, i, j, fit);
    let last = hull[hull.length - 1];
    if (last !== undefined && loss >= last.loss) continue;
    const bits = b.bits[i]! + a.bits[j]!;
    if (last?.bits === bits) hull.pop();
    while (hull.length > 1) {
      last = hull[hull.length - 1]!;
      const before = hull[hull.length - 2]!;
      const convex =
        (before.loss - last.loss) * (bits - last.bits) > (last.loss - loss) * (last.bits - before.bits);
      if (convex) break;
      hull.pop();
    }
    hull.push(pointAt(candidate, i, j, fit));
  }
  return hull;
}

/** The last order of pairs, and the bits that it is for: most vectors of an adapter have the same lengths. */
let ordered = { key: "", pairs: new Uint32Array(0) };

/** Pairs of rates from the floor up, each as b · (number of rates of A') + a, by ascending bits. */
function byBits({ b: { bits: ofB }, a: { bits: ofA }, floor }: Candidate): Uint32Array {
  const key = `${floor} ${ofB} ${ofA}`;
  if (ordered.key === key) return ordered.pairs;
  const found: { readonly pair: number; readonly bits: number }[] = [];
  for (let i = floor; i < ofB.length; i++)
    for (let j = floor; j < ofA.length; j++)
      found.push({ pair: i * ofA.length + j, bits: ofB[i]! + ofA[j]! });
  found.sort((x, y) => x.bits - y.bits);
  ordered = { key, pairs: Uint32Array.from(found, ({ pair }) => pair) };
  return ordered.pairs;
}
