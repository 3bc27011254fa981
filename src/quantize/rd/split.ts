/**
 * A module as the vectors that the `rd` profile codes.
 *
 * @module
 */
import type { LoraModule } from "../../model/adapter.ts";
import { reparameterize } from "../reparameterize.ts";
import { type Coded, lostEnergy, RATES } from "./rates.ts";

/** One factor of one component: a vector for each expert, coded alike; and what coding it gave so far. */
export interface Side {
  /** binary32: twice the source's precision is of no use, and half the memory is. */
  readonly vectors: readonly Float32Array[];
  /** Σ ‖x‖² over experts. */
  readonly energy: number;
  /** By rate number. */
  readonly coded: Map<number, Coded & { readonly distortion: number }>;
}

/** A component of a module. */
export interface Component {
  /** multiplier² s², summed over experts. */
  readonly energy: number;
  readonly b: Side;
  readonly a: Side;
}

/** A module and its components that are not zero, strongest first. */
export interface Subject {
  readonly module: LoraModule;
  readonly components: readonly Component[];
}

/** Reparameterizes a module. Component c of each expert is its own c-th strongest. */
export function split(module: LoraModule): Subject {
  const experts = Array.from({ length: module.experts }, (_, expert) => reparameterize(module, expert));
  const square = module.multiplier * module.multiplier;
  const components: Component[] = [];
  for (let c = 0; c < module.rank; c++) {
    if (experts.every(({ singularValues }) => singularValues[c] === 0)) break;
    components.push({
      energy: experts.reduce((sum, { singularValues: s }) => sum + square * s[c]! * s[c]!, 0),
      b: side(experts.map(({ b, out }) => b.subarray(c * out, (c + 1) * out))),
      a: side(experts.map(({ a, n }) => a.subarray(c * n, (c + 1) * n))),
    });
  }
  return { module, components };
}

function side(values: readonly Float64Array[]): Side {
  let energy = 0;
  for (const vector of values) for (const value of vector) energy += value * value;
  return { vectors: values.map((vector) => Float32Array.from(vector)), energy, coded: new Map() };
}

/** Codes a side at a rate, once. @throws LqaError SOURCE_RANGE */
export function codeSide(side: Side, rate: number, where: string): void {
  if (side.coded.has(rate)) return;
  const coded = RATES[rate]!.code(side.vectors, where);
  const distortion = side.energy === 0 ? 0 : lostEnergy(side.vectors, coded) / side.energy;
  side.coded.set(rate, { ...coded, distortion });
}
