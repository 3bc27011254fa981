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
import { type ComponentFit, divergenceLoss, type Fit, type Loss, lossOf } from "./gain.ts";

/** The share of its energy that a vector loses. */
export interface Lost {
  /** ‖x − x̂‖² / ‖x‖² after the scale is fitted. */
  readonly distortion: number;
  /** What that counts like in the loss, if it differs. */
  readonly counted?: number;
}

/** One way to code one vector: its cost and what it loses. */
export interface RatePoint extends Lost {
  /** Bits of all planes of the vector, scales included. */
  readonly bits: number;
}

/** A component to code: all possible rates of its B' and A' vectors. */
export interface Candidate {
  /** multiplier² s², summed over experts. */
  readonly energy: number;
  /** Weight of its loss per unit of energy; or, if it is known, the effect of errors of its vectors on the model's answers. */
  readonly weight: number | Sensitivity;
  /** Rates of the B' vector and of the A' vector, by rate number. */
  readonly b: readonly RatePoint[];
  readonly a: readonly RatePoint[];
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

interface Point extends Choice, Loss {
  readonly bits: number;
}

/** The cost and loss of an allocation, by the given distortions: sums over the components, with losses weighted. */
export interface Allocation extends Loss {
  readonly choices: readonly Choice[];
  readonly bits: number;
}

/** When to stop buying: at a number of bits, or when the squared error is small enough. */
export type Goal = { readonly bits: number } | { readonly error: number };

/**
 * Allocates rates to components.
 *
 * With a goal in bits, the result exceeds it only if the floors alone do; the rest is spent on upgrades that
 * still fit, best first. With a goal in error, buying stops when it is reached.
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
  }
  const sum = (what: "loss" | "error"): number => chosen.reduce((total, point) => total + point[what], 0);
  return { choices: chosen.map(({ b, a }) => ({ b, a })), bits, loss: sum("loss"), error: sum("error") };
}

/** Most upgrades that are bought with the rest of a budget: small adapters have coarse steps. */
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
  const { b, a, floor } = candidate;
  return floor === 0
    ? { b: 0, a: 0, bits: b[0]!.bits + a[0]!.bits, ...lossAt(candidate, b[0]!, a[0]!, fit) }
    : hullOf(candidate, fit)[0]!;
}

/** No step of the hull of a component saves more per bit: as if the cheapest rates lost nothing. */
function mostSlope(candidate: Candidate, fit: Fit): number {
  const { b, a, floor } = candidate;
  if (floor > 0 || b[0]!.bits + a[0]!.bits > 0) return Number.POSITIVE_INFINITY;
  const bitsOf = (points: readonly RatePoint[]): number =>
    points.reduce((least, { bits }) => (bits > 0 ? Math.min(least, bits) : least), Number.POSITIVE_INFINITY);
  // One vector alone is coded only if the other one loses nothing.
  return lossAt(candidate, b[0]!, a[0]!, fit).loss / Math.min(bitsOf(b), bitsOf(a));
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
  if (hull === undefined) known[fit].set(candidate, (hull = convexHull(pointsOf(candidate, fit))));
  return hull;
}

/** Pairs of rates from the floor up. */
function pointsOf(candidate: Candidate, fit: Fit): Point[] {
  const { b, a, floor } = candidate;
  const points: Point[] = [];
  for (let i = floor; i < b.length; i++)
    for (let j = floor; j < a.length; j++) {
      // If one vector is zero, so is the product: coding the other one is useless.
      if (i !== j && (b[i]!.distortion >= 1 || a[j]!.distortion >= 1)) continue;
      const { loss, error } = lossAt(candidate, b[i]!, a[j]!, fit);
      points.push({ b: i, a: j, bits: b[i]!.bits + a[j]!.bits, loss, error });
    }
  return points;
}

/** What a component loses with its vectors at these rates. */
export function lossAt(
  { energy, weight, fit: own }: Omit<Candidate, "b" | "a" | "floor">,
  { distortion: lostB, counted: countedB = lostB }: Lost,
  { distortion: lostA, counted = lostA }: Lost,
  others: Fit,
): Loss {
  const fit = own ?? others;
  // What changed since the parent counts as more than its energy, also for a goal in error.
  if (fit === "rest") {
    const error = energy * lossOf((1 - countedB) * (1 - counted), fit).error;
    return { loss: Number(weight) * error, error };
  }
  // The least squared error counts every error as it is.
  const felt = fit === "least-squares" ? lostA : counted;
  const error = energy * lossOf((1 - lostB) * (1 - lostA), fit).error;
  if (typeof weight !== "number") return { loss: divergenceLoss(lostB, felt, fit, weight), error };
  return { loss: weight * energy * lossOf((1 - lostB) * (1 - felt), fit).loss, error };
}

/** Pairs of rates that no mixture of others beats, by ascending bits. */
function convexHull(points: Point[]): Point[] {
  points.sort((x, y) => x.bits - y.bits || x.loss - y.loss);
  const hull: Point[] = [];
  for (const point of points) {
    if (hull.length > 0 && point.loss >= hull[hull.length - 1]!.loss) continue;
    while (hull.length > 1) {
      const last = hull[hull.length - 1]!;
      const before = hull[hull.length - 2]!;
      const convex =
        (before.loss - last.loss) * (point.bits - last.bits) >
        (last.loss - point.loss) * (last.bits - before.bits);
      if (convex) break;
      hull.pop();
    }
    // Of two points with equal bits, the better one comes first and stays.
    if (hull.length > 0 && hull[hull.length - 1]!.bits === point.bits) continue;
    hull.push(point);
  }
  return hull;
}
