/**
 * Packed application in plain TypeScript. It defines the result of `y += multiplier · B'(A'x)`, bit for bit.
 *
 * All arithmetic is IEEE 754 binary32. Every product and every sum is rounded to nearest even; nothing is fused. For each row x:
 *
 * 1. Weights are the exact binary32 values of spec clause 8.7. If rows are rotated instead of weights (the rule is in
 *   `rotating.ts`, per factor), the weights of rotated vectors are the values before the rotation R of clause 8.6.1 (integer
 *   times scale), and R applies to the other side of the product: Rᵀx in step 2, R of the sum in step 4. Components for which
 *   either factor stores nothing do not take part.
 * 2. Each component has four sums that begin as +0: weight i times x[i] (or (Rᵀx)[i]) is added to sum i mod 4, in order of i.
 * 3. h = multiplier · ((sum 0 + sum 1) + (sum 2 + sum 3)). If A' has a start (spec clause 8.8), these sums are over the rests.
 *   Each row of draws, times 2^-15, gives a number z[k] from x in the same way, with multiplier 1. The vector R of a component
 *   gives a number from z in the same way, with the multiplier of the module, or +0 for a component without a start. It is added
 *   to h, which is +0 before if no rest is stored.
 * 4. The update begins as +0 for each output. h times the weights of B' is added for each component that is not rotated, in
 *   order of components, then for each rotated one. If rows are rotated, the rotated components are added up in their own vector,
 *   from +0; R applies to this vector, and then it is added to the update (or is the update, if every component is rotated).
 * 5. The update is added to y, if B' has a component. If the module has a parent (spec clause 8.9), steps 2 and 3 are done for
 *   the module, then for its parent, and so on, with the multiplier of the module, for every component for which A' stores
 *   something; h is the sum of the results, from +0, in that order. Step 4 is done with this h for the last parent first and the
 *   module last, for every component for which B' stores something; each update is added to y. binary16 rows of y are widened
 *   before and rounded once after; those of x are widened.
 *
 * So the result for a row depends only on the module, the row and the rule of rotation: not on the other rows, on the state of
 * caches, or on the machine. The payload of a NaN is unspecified.
 *
 * @module
 */
import {
  decodePlain,
  type ResidentModule,
  rotateIntegers,
  rotateTransposed,
  sizesOf,
} from "../core/format.ts";
import { DRAW_UNIT } from "../core/rooms.ts";

import { type ApplyProgram, ENTRY_WORDS, type FactorProgram, WORD } from "./program.ts";
import { expertDraws, programFor, residentGenerations } from "./resident-module.ts";
import type { Rotating } from "./rotating.ts";

/**
 * Applies a module to one row.
 *
 * @param x a row of the input length
 * @param y a row of the output length; the update is added to it
 */
export function applyRowPlainly(
  module: ResidentModule,
  expert: number,
  x: Float32Array,
  y: Float32Array,
  turns: Rotating,
): void {
  const generations = residentGenerations(module);
  const { multiplier } = module.shape;
  if (generations.length === 1) {
    const program = programFor(module, false);
    const h = project(module, program, expert, x, turns, multiplier);
    expand(module, program, expert, h, y, turns);
    return;
  }
  const programs = generations.map((own) => programFor(own, true));
  const h = new Float32Array(module.shape.rank);
  for (const [g, own] of generations.entries())
    for (const [c, value] of project(own, programs[g]!, expert, x, turns, multiplier).entries())
      h[c]! += value;
  for (const [g, own] of [...generations.entries()].reverse()) expand(own, programs[g]!, expert, h, y, turns);
}

/** The planes of an expert. */
function payloadOf(
  { payload }: ResidentModule,
  { payloadBytes, expertStride }: ApplyProgram,
  expert: number,
): Uint8Array {
  return payload.subarray(expert * expertStride, expert * expertStride + payloadBytes);
}

/** h of one generation: steps 2 and 3. */
function project(
  module: ResidentModule,
  program: ApplyProgram,
  expert: number,
  x: Float32Array,
  turns: Rotating,
  multiplier: number,
): Float32Array {
  const { a, start, components } = program;
  const payload = payloadOf(module, program, expert);
  const weights = (factor: FactorProgram, k: number, turn: Rotating["a"], length: number): Float32Array =>
    componentWeights(factor, k, turn, payload, length);
  const turned = Float32Array.from(x);
  if (turns.a === "rows") rotateTransposed(turned);
  const h = new Float32Array(components);
  for (let k = 0; k < a.encodings.length; k++) {
    const own = weights(a, k, turns.a, x.length);
    h[slotOf(a.words, k)] = multiplier * dot(own, k < a.straight ? x : turned);
  }
  if (start !== undefined) {
    const draws = Float32Array.from(expertDraws(module, expert)!, (draw) => draw * DRAW_UNIT);
    const z = new Float32Array(start.rank);
    for (let k = 0; k < z.length; k++) z[k] = dot(draws.subarray(k * x.length, (k + 1) * x.length), x);
    const mixed = new Float32Array(components);
    for (let k = 0; k < start.mix.encodings.length; k++)
      mixed[slotOf(start.mix.words, k)] = multiplier * dot(weights(start.mix, k, "weights", z.length), z);
    for (let c = 0; c < components; c++) h[c]! += mixed[c]!;
  }
  return h;
}

/** Adds an update to y: steps 4 and 5. */
function expand(
  module: ResidentModule,
  program: ApplyProgram,
  expert: number,
  h: Float32Array,
  y: Float32Array,
  turns: Rotating,
): void {
  const { b } = program;
  const { out } = module.shape;
  const components = b.encodings.length;
  if (components === 0) return;
  const payload = payloadOf(module, program, expert);
  const update = new Float32Array(out);
  const rotated = turns.b === "rows" ? new Float32Array(out) : update;
  for (let k = 0; k < components; k++) {
    const own = componentWeights(b, k, turns.b, payload, out);
    const factor = h[slotOf(b.words, k)]!;
    const sum = k < b.straight ? update : rotated;
    for (let o = 0; o < out; o++) sum[o]! += Math.fround(own[o]! * factor);
  }
  if (rotated !== update && b.straight < components) {
    rotateIntegers(rotated);
    if (b.straight === 0) update.set(rotated);
    else for (let o = 0; o < out; o++) update[o]! += rotated[o]!;
  }
  for (let o = 0; o < out; o++) y[o]! += update[o]!;
}

function slotOf(words: Int32Array, k: number): number {
  return words[ENTRY_WORDS * k + WORD.slot]!;
}

/** Inner product, by four sums. */
function dot(weights: Float32Array, x: Float32Array): number {
  const sums = new Float32Array(4);
  for (let i = 0; i < weights.length; i++) sums[i & 3]! += Math.fround(weights[i]! * x[i]!);
  return Math.fround(Math.fround(sums[0]! + sums[1]!) + Math.fround(sums[2]! + sums[3]!));
}

/** Weights of component `k` of a list. */
function componentWeights(
  { words, encodings, straight }: FactorProgram,
  k: number,
  turn: Rotating["a"],
  payload: Uint8Array,
  length: number,
): Float32Array {
  const stored = encodings[k]!;
  const lowered = k >= straight && turn === "rows" ? { ...stored, rotated: false } : stored;
  const sizes = sizesOf(lowered, 1, length);
  const plane = (which: "codes" | "scales" | "zeroPoints"): Uint8Array => {
    const at = words[ENTRY_WORDS * k + WORD[which]]!;
    return payload.subarray(at, at + sizes[which]);
  };
  const planes = { codes: plane("codes"), scales: plane("scales"), zeroPoints: plane("zeroPoints") };
  const weights = new Float32Array(length);
  decodePlain(lowered, planes, 1, length, weights, { offset: 0, componentStride: length, weightStride: 1 });
  return weights;
}
