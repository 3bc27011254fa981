/**
 * Decodes factors A' in which some vectors have a start: it decodes their rests like other vectors, then adds the mixed draws
 * (spec clause 8.8), with the kernel if there is one.
 *
 * @module
 */
import { type DecodeTarget, decodeFactor, type FactorJob, type Part, storing } from "../decode.ts";
import type { DecodeKernel } from "../kernels/decode-kernel.ts";
import { startKernel } from "../kernels/start-kernel.ts";
import { type PackedFactors, rankOf } from "../packed.ts";
import { generatorOf } from "./draws.ts";
import { addMixture, readMixture } from "./mixture.ts";
import { ownTwister, takeDraws } from "./mt19937.ts";
import type { ModuleStart } from "./start.ts";

/**
 * Decodes A' of all experts.
 *
 * @param length weights of a vector of A'
 * @param target `[experts][rank][length]`; a binary16 weight is the binary32 weight, rounded once
 * @param apart weights from one expert to the next in a binary32 target. Default: rank · length
 * @throws as `decodeFactor`
 */
export function decodeStarted(
  { bands, planes }: PackedFactors,
  start: ModuleStart,
  length: number,
  target: DecodeTarget,
  kernel?: DecodeKernel,
  apart?: number,
): void {
  const rank = rankOf(bands);
  const size = rank * length;
  const wide = target instanceof Float32Array;
  const values = wide ? target : new Float32Array(size);
  let twister = generatorOf(start);
  for (const [expert, own] of planes.entries()) {
    const offset = wide ? expert * (apart ?? size) : 0;
    const parts = bands.map(({ a, components }, i): Part => ({ encoding: a, planes: own[i]!.a, components }));
    const job: FactorJob = { parts, length, order: "component", multiplier: 1 };
    decodeFactor(job, values, offset, wide ? kernel : undefined);
    const mixture = readMixture(bands, own, rank);
    const after = startKernel()?.add(twister, mixture, length, values, offset, expert + 1 < planes.length);
    twister = after ?? ownTwister(twister);
    if (after === undefined) {
      const draws = new Int16Array(size);
      takeDraws(twister, draws);
      addMixture(mixture, draws, length, values, offset);
    }
    if (wide) continue;
    decodeFactor(storing(values), target, expert * size, kernel);
  }
}
