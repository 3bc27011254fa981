/**
 * Codes the vectors of a module at chosen rates and measures what they lose.
 *
 * @module
 */
import type { Rotation } from "../../../core/codecs/rotation.ts";
import type { LoraModule } from "../../../model/adapter.ts";
import type { Svd } from "../../linalg/svd.ts";
import type { Coded } from "../coders.ts";
import { lostShare, RATES } from "./rates.ts";
import { moduleVectors } from "./vectors.ts";

/** A vector (of every expert) coded at a rate. */
export interface CodedSide extends Coded {
  /** Share of its energy that is lost, by weight. */
  readonly distortion: number;
}

/** One vector to be coded. */
export interface Wanted {
  readonly component: number;
  readonly factor: "b" | "a";
  /** Number of the rate. */
  readonly rate: number;
}

/**
 * Codes what is wanted, in that order.
 *
 * @param cores those of the survey
 * @throws LqaError SOURCE_RANGE
 */
export function codeModule(
  module: LoraModule,
  moments: Float64Array | undefined,
  rotations: Readonly<Record<"b" | "a", Rotation>>,
  wanted: readonly Wanted[],
  cores: readonly Svd[],
): CodedSide[] {
  const { components, weights } = moduleVectors(module, moments, { cores });
  return wanted.map(({ component, factor, rate }) => {
    const vectors = components[component]![factor];
    const own = factor === "a" ? weights : undefined;
    const where = `module "${module.name}", factor ${factor.toUpperCase()}`;
    const coded = RATES[rate]!.code(vectors, rotations[factor], own, where);
    return { ...coded, distortion: lostShare(vectors, coded, own) };
  });
}
