/**
 * Measures the effect of quantizing a module, on the values that a decoder computes.
 *
 * The decoded factors come from the planes through the reference decoder, never from the encoder's own values. ΔW is
 * not formed: energies come from Gram matrices in double precision or, if the error is so small that their
 * difference would be rounding, from a QR of both products together. These figures use `log10` and are for reports;
 * nothing in a file depends on them.
 *
 * @module
 */
import { decodePlanes, FLOAT_BYTES, fieldCount, groupCount, hasStart, lower } from "../../core/format.ts";
import { type Encoding, encodingLabel, type PackedFactors } from "../../core/index.ts";
import { decodeStarted, mixEncoding } from "../../core/rooms.ts";
import { inputLength, type LoraModule, parameterCount, withFactors } from "../../model/adapter.ts";
import type { DenseMatrix } from "../linalg/engine.ts";
import { differenceEnergy, type LowRank, pairEnergies, pairGram } from "../linalg/gram.ts";
import type { TaskWork } from "./rd/vectors.ts";
import { factorA, factorB } from "./reparameterize.ts";

/** Quality figures of a module or a whole adapter. */
export interface Quality {
  /** Number of weights in the factors. */
  readonly parameters: number;
  /**
   * Bits per weight as the LoRAQuant paper (arXiv 2510.26690) counts them: codes, scales and zero points, without the container. The zero point
   * of a group counts with its own bits, without the padding of the plane.
   */
  readonly averageBits: number;
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖²; 0 if nothing was lost, Infinity if ΔW is zero and ΔŴ is not. */
  readonly relativeError: number;
  /** −10 log₁₀ relativeError; Infinity if nothing was lost. */
  readonly snrDb: number;
  /** Cosine of the angle between ΔW and ΔŴ; 1 if both are zero, 0 if one is. */
  readonly cosine: number;
  /**
   * ⟨ΔW, ΔŴ⟩ / ‖ΔW‖²: below 1 the adapter is weaker. 1 if both are equal, 0 if ΔW is zero and ΔŴ is not.
   */
  readonly gain: number;
  /** ‖ΔW‖², multiplier included, summed over experts. */
  readonly energy: number;
  /** ‖ΔW − ΔŴ‖². */
  readonly errorEnergy: number;
  /** ‖ΔŴ‖². */
  readonly decodedEnergy: number;
  /**
   * The error of the modules' outputs for inputs with known second moments d_j = E[x_j²]:
   * Σ_oj d_j (ΔW − ΔŴ)_oj² / Σ_oj d_j ΔW_oj². This is E‖(ΔW − ΔŴ)x‖² / E‖ΔW x‖² if the channels of x are
   * uncorrelated. 0 if nothing was lost. Absent without moments; a total covers the modules that have them.
   */
  readonly outputError?: number;
  /** Σ_oj d_j ΔW_oj², multiplier included, summed over experts. Present with `outputError`. */
  readonly outputEnergy?: number;
  /** Σ_oj d_j (ΔW − ΔŴ)_oj². Present with `outputError`. */
  readonly outputErrorEnergy?: number;
  /**
   * The Kullback-Leibler divergence that the losses add, in nats per token, from sensitivities measured with the model: a
   * second-order estimate for texts like those of the calibration. Absent without; a total covers the modules that have it.
   */
  readonly divergence?: number;
}

/** A module with this `relativeError` or more counts as dropped. */
export const DROPPED_ERROR = 0.999;

/** A module with a `relativeError` above this counts as weak: more of it is lost than kept. */
export const WEAK_ERROR = 0.5;

/** The quality of one module. */
export interface ModuleQuality extends Quality {
  readonly name: string;
  readonly rank: number;
  /** The band plan with short labels, see `encodingLabel`. */
  readonly bands: readonly { readonly components: number; readonly b: string; readonly a: string }[];
}

/**
 * An error energy below this share of ‖B‖²‖A‖² is computed from the QR form. The Gram form is off by about 1e-16 of
 * ‖B‖²‖A‖², so it is good to at least 6 digits where it is used.
 */
const GRAM_FLOOR = 1e-10;

/**
 * Compares a module with its packed factors.
 *
 * @param moments second moments of its inputs, `[experts][in · kernel]`; adds `outputError` and its energies
 * @param origins the start or parent that the factors are relative to
 */
export function moduleQuality(
  module: LoraModule,
  factors: PackedFactors,
  moments?: Float64Array,
  { start, parent }: Pick<TaskWork, "start" | "parent"> = {},
): ModuleQuality {
  const begun = start && hasStart(factors.bands) ? decodeBegun(module, factors, start) : undefined;
  let energy = 0;
  let decodedEnergy = 0;
  let errorEnergy = 0;
  let outputEnergy = 0;
  let outputErrorEnergy = 0;
  for (let e = 0; e < module.experts; e++) {
    const original = factorsOf(module, e);
    const decoded = decodeExpert(module, factors, e, begun);
    if (parent !== undefined) {
      addParent(decoded.b, parent.b, parent.rank, e);
      addParent(decoded.a, parent.a, parent.rank, e);
    }
    const b = pairGram(original.b, decoded.b);
    const plain = compare(original, decoded, b);
    energy += plain.energy;
    decodedEnergy += plain.decodedEnergy;
    errorEnergy += plain.errorEnergy;
    if (moments === undefined) continue;
    // Σ_j d_j ΔW_oj² is the energy of B · (A D^½).
    const n = original.a.rows;
    const lengths = moments.subarray(e * n, (e + 1) * n).map(Math.sqrt);
    const output = compare(scaledInputs(original, lengths), scaledInputs(decoded, lengths), b);
    outputEnergy += output.energy;
    outputErrorEnergy += output.errorEnergy;
  }
  const square = module.multiplier * module.multiplier;
  return {
    name: module.name,
    rank: module.rank,
    bands: factors.bands.map((band) => ({
      components: band.components,
      b: encodingLabel(band.b),
      a: encodingLabel(band.a),
    })),
    ...figures(
      parameterCount(module),
      countedBits(module, factors),
      square * energy,
      square * errorEnergy,
      square * decodedEnergy,
    ),
    ...(moments === undefined ? {} : outputFigures(square * outputEnergy, square * outputErrorEnergy)),
  };
}

/**
 * Compares the changes that two modules of one shape make to the base weight. Ranks, multipliers and bases may differ.
 *
 * @returns ‖ΔW_x‖², ‖ΔW_y‖² and ‖ΔW_x − ΔW_y‖², over all experts
 */
export function compareModules(
  x: LoraModule,
  y: LoraModule,
): Pick<Quality, "energy" | "decodedEnergy" | "errorEnergy"> {
  const sum = { energy: 0, decodedEnergy: 0, errorEnergy: 0 };
  // Each access may decode the factors again.
  const [one, other] = [withFactors(x), withFactors(y)];
  // Two modules usually have one multiplier, which needs no copy of A.
  const shared = x.multiplier === y.multiplier;
  const square = shared ? x.multiplier * x.multiplier : 1;
  const factors = shared ? factorsOf : multiplied;
  for (let e = 0; e < x.experts; e++) {
    const [left, right] = [factors(one, e), factors(other, e)];
    const found = compare(left, right, pairGram(left.b, right.b));
    sum.energy += square * found.energy;
    sum.decodedEnergy += square * found.decodedEnergy;
    sum.errorEnergy += square * Math.max(0, found.errorEnergy);
  }
  return sum;
}

/** The factors of an expert. */
function factorsOf(module: LoraModule, expert: number): LowRank {
  return { b: factorB(module, expert), a: factorA(module, expert) };
}

/** The factors of an expert, A times the multiplier. */
function multiplied(module: LoraModule, expert: number): LowRank {
  const { b, a } = factorsOf(module, expert);
  return scaledInputs({ b, a }, new Float64Array(a.rows).fill(module.multiplier));
}

/** Sums the figures of modules: energies and bits are summed, and ratios are computed from the sums. */
export function totalQuality(modules: readonly Quality[]): Quality {
  let parameters = 0;
  let bits = 0;
  let energy = 0;
  let errorEnergy = 0;
  let decodedEnergy = 0;
  let outputEnergy = 0;
  let outputErrorEnergy = 0;
  let divergence: number | undefined;
  for (const module of modules) {
    parameters += module.parameters;
    bits += module.averageBits * module.parameters;
    energy += module.energy;
    errorEnergy += module.errorEnergy;
    decodedEnergy += module.decodedEnergy;
    outputEnergy += module.outputEnergy ?? 0;
    outputErrorEnergy += module.outputErrorEnergy ?? 0;
    if (module.divergence !== undefined) divergence = (divergence ?? 0) + module.divergence;
  }
  const measured = modules.some((module) => module.outputError !== undefined);
  return {
    ...figures(parameters, bits, energy, errorEnergy, decodedEnergy),
    ...(measured ? outputFigures(outputEnergy, outputErrorEnergy) : {}),
    ...(divergence === undefined ? {} : { divergence }),
  };
}

/**
 * The relative error if one factor per module brought its gain to 1: the error of an encoding without its weakening of
 * modules. A module whose gain is not above 0 has no such factor and keeps its error. 0 if nothing was lost.
 */
export function restoredError(modules: readonly Quality[]): number {
  let energy = 0;
  let lost = 0;
  for (const { energy: own, errorEnergy, decodedEnergy, gain } of modules) {
    energy += own;
    // ‖ΔŴ/g − ΔW‖² = ‖ΔŴ‖²/g² − ‖ΔW‖², because ⟨ΔŴ, ΔW⟩ = g ‖ΔW‖².
    lost += errorEnergy === 0 || !(gain > 0) ? errorEnergy : Math.max(0, decodedEnergy / gain / gain - own);
  }
  return lost === 0 ? 0 : lost / energy;
}

function outputFigures(outputEnergy: number, outputErrorEnergy: number): Partial<Quality> {
  const outputError = outputErrorEnergy === 0 ? 0 : outputErrorEnergy / outputEnergy;
  return { outputError, outputEnergy, outputErrorEnergy };
}

function figures(
  parameters: number,
  bits: number,
  energy: number,
  errorEnergy: number,
  decodedEnergy: number,
): Quality {
  const relativeError = errorEnergy === 0 ? 0 : errorEnergy / energy;
  const lengths = Math.sqrt(energy) * Math.sqrt(decodedEnergy);
  const inner = (energy + decodedEnergy - errorEnergy) / 2;
  const cosine =
    lengths === 0 ? (energy === decodedEnergy ? 1 : 0) : Math.min(Math.max(inner / lengths, -1), 1);
  const gain = errorEnergy === 0 ? 1 : energy === 0 ? 0 : inner / energy;
  return {
    parameters,
    averageBits: parameters === 0 ? 0 : bits / parameters,
    relativeError,
    snrDb: relativeError === 0 ? Number.POSITIVE_INFINITY : -10 * Math.log10(relativeError),
    cosine,
    gain,
    energy,
    errorEnergy,
    decodedEnergy,
  };
}

/** Energies of a product, of its approximation, and of their difference; `b` is the Gram matrix of both Bs. */
function compare(
  original: LowRank,
  decoded: LowRank,
  b: Float64Array,
): Pick<Quality, "energy" | "decodedEnergy" | "errorEnergy"> {
  const { x, y, inner, scale } = pairEnergies(b, pairGram(original.a, decoded.a), original.a.columns);
  const found = { energy: x, decodedEnergy: y, errorEnergy: x + y - 2 * inner };
  if (found.errorEnergy > GRAM_FLOOR * scale) return found;
  // Equal factors are common with the raw profile, and must have an error of exactly 0.
  const equal = same(original.b, decoded.b) && same(original.a, decoded.a);
  return { ...found, errorEnergy: equal ? 0 : differenceEnergy(original, decoded) };
}

/** B · A with column j of A times `lengths[j]`. */
function scaledInputs({ b, a }: LowRank, lengths: Float64Array): LowRank {
  const values = new Float64Array(a.values);
  for (let i = 0; i < values.length; i++) values[i]! *= lengths[i % a.rows]!;
  return { b, a: { ...a, order: "columns", values } };
}

/** Whether both have the same entries, in any memory order. */
function same(x: DenseMatrix, y: DenseMatrix): boolean {
  const step = (m: DenseMatrix): [number, number] => (m.order === "rows" ? [m.columns, 1] : [1, m.rows]);
  const [[xRow, xColumn], [yRow, yColumn]] = [step(x), step(y)];
  for (let c = 0; c < x.columns; c++) {
    for (let i = 0; i < x.rows; i++) {
      if (x.values[i * xRow + c * xColumn] !== y.values[i * yRow + c * yColumn]) return false;
    }
  }
  return true;
}

/** Â of all experts with a start. */
function decodeBegun(
  module: LoraModule,
  factors: PackedFactors,
  start: NonNullable<TaskWork["start"]>,
): Float32Array {
  const length = inputLength(module);
  const a = new Float32Array(module.experts * module.rank * length);
  decodeStarted(factors, start, length, a);
  return a;
}

/** Shared memory for all decoded factors: touching new pages would take longer than decoding. */
const shared = { b: new Float32Array(0), a: new Float32Array(0) };

function zeros(factor: "b" | "a", length: number): Float32Array {
  if (shared[factor].length < length) shared[factor] = new Float32Array(length);
  return shared[factor].subarray(0, length).fill(0);
}

/** B̂ and Â of one expert, in memory that is valid until the next call, as a decoder computes them in binary32; `begun` is Â of all experts, if they have a start. */
function decodeExpert(
  module: LoraModule,
  factors: PackedFactors,
  expert: number,
  begun: Float32Array | undefined,
): LowRank {
  const { rank, out } = module;
  const n = inputLength(module);
  const b = zeros("b", rank * out);
  const a = begun?.subarray(expert * rank * n, (expert + 1) * rank * n) ?? zeros("a", rank * n);
  let from = 0;
  for (const [i, band] of factors.bands.entries()) {
    const planes = factors.planes[expert]![i]!;
    const atB = { offset: from * out, componentStride: out, weightStride: 1 };
    decodePlanes(band.b, planes.b, band.components, out, b, atB);
    const atA = { offset: from * n, componentStride: n, weightStride: 1 };
    if (begun === undefined) decodePlanes(band.a, planes.a, band.components, n, a, atA);
    from += band.components;
  }
  return {
    b: { values: b, rows: out, columns: rank, order: "columns" },
    a: { values: a, rows: n, columns: rank, order: "columns" },
  };
}

/** Adds the parent's components to those with the same number, rounded to binary32. */
function addParent({ values, rows }: DenseMatrix, parent: Float32Array, rank: number, expert: number): void {
  const from = expert * rank * rows;
  for (let i = 0; i < rank * rows; i++) values[i]! += parent[from + i]!;
}

function countedBits(module: LoraModule, factors: PackedFactors): number {
  let bits = 0;
  for (const band of factors.bands) {
    bits += band.components * (vectorBits(band.b, module.out) + vectorBits(band.a, inputLength(module)));
    bits += band.components * vectorBits(mixEncoding(band.a), module.rank);
  }
  return bits * module.experts;
}

function vectorBits(encoding: Encoding, length: number): number {
  const lowered = lower(encoding);
  const scaleBits = lowered.scale === undefined ? 0 : 8 * FLOAT_BYTES[lowered.scale];
  return (
    fieldCount(lowered, "codes", length) * lowered.bits +
    groupCount(lowered.group, length) * (scaleBits + lowered.zeroBits)
  );
}
