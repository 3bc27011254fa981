/**
 * Decodes factors A' in which some vectors have a start: it decodes their rests like other vectors, then adds the mixed draws
 * (spec clause 8.8), with the kernel if there is one. Draws of large modules are made some columns at a time, so that decoding to
 * binary32 needs little more than the target.
 *
 * @module
 */

import { ownTwister, skipDraws, type Twister, takeDraws } from "../../../common/mt19937.ts";
import { type DecodeTarget, decodeFactor, type FactorJob, type FactorPart, storing } from "../decode.ts";
import type { DecodeKernel } from "../kernels/decode-kernel.ts";
import { startKernel } from "../kernels/start-kernel.ts";
import { type PackedFactors, rankOf } from "../packed.ts";
import { generatorOf } from "./draws.ts";
import { addMixture, columnsAtOnce, type Mixture, readMixture } from "./mixture.ts";
import type { ModuleStart } from "./start.ts";

/**
 * Decodes A'.
 *
 * @param length weights of a vector of A'
 * @param target `[rank][length]`; a binary16 weight is the binary32 weight, rounded once. That takes four bytes for each weight in
 *   addition
 * @throws as `decodeFactor`
 */
export function decodeStarted(
  { bands, planes: [planes] }: PackedFactors,
  start: ModuleStart,
  length: number,
  target: DecodeTarget,
  kernel?: DecodeKernel,
): void {
  const rank = rankOf(bands);
  const wide = target instanceof Float32Array;
  const values = wide ? target : new Float32Array(rank * length);
  const parts = bands.map(
    ({ a, components }, i): FactorPart => ({ encoding: a, planes: planes![i]!.a, components }),
  );
  const job: FactorJob = { parts, length, order: "component", multiplier: 1 };
  decodeFactor(job, values, 0, wide ? kernel : undefined);
  const mixture = readMixture(bands, planes!, rank);
  const twister = generatorOf(start);
  if (startKernel()?.add(twister, mixture, length, values) !== true)
    addPlain(ownTwister(twister), mixture, length, values);
  if (!wide) decodeFactor(storing(values), target, 0, kernel);
}

function addPlain(twister: Twister, mixture: Mixture, length: number, values: Float32Array): void {
  const { rank } = mixture;
  const wide = columnsAtOnce(rank, length);
  const rows: Twister[] = [];
  while (wide < length && rows.length < rank) {
    rows.push(ownTwister(twister));
    skipDraws(twister, length);
  }
  const draws = new Int16Array(rank * wide);
  for (let first = 0; first < length; first += wide) {
    const width = Math.min(wide, length - first);
    if (wide === length) takeDraws(twister, draws);
    for (const [k, row] of rows.entries()) takeDraws(row, draws.subarray(k * width, (k + 1) * width));
    addMixture(mixture, draws, width, values, first, length);
  }
}
