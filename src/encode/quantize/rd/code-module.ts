/**
 * Codes the vectors of a module at chosen rates and measures what they lose.
 *
 * @module
 */
import type { Planes } from "../../../core/codecs/encoding.ts";
import type { ModuleStart } from "../../../core/codecs/start/start.ts";
import type { LoraModule } from "../../../model/adapter.ts";
import type { Svd } from "../../linalg/svd.ts";
import { CODERS, type Coded } from "../coders.ts";
import { lostShare, RATES, splitRate } from "./rates.ts";
import type { Rotations } from "./survey.ts";
import { moduleVectors } from "./vectors.ts";

/** A vector (of every expert) coded at a rate. */
export interface CodedSide extends Coded {
  /** How the draws of its start are mixed. */
  readonly mix?: Planes;
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
  start: ModuleStart | undefined,
  rotations: Rotations,
  wanted: readonly Wanted[],
  cores: readonly Svd[],
): CodedSide[] {
  const { components, weights } = moduleVectors(module, moments, start, { cores });
  return wanted.map(({ component, factor, rate }) => {
    const own = factor === "a" ? weights : undefined;
    const where = `module "${module.name}", factor ${factor.toUpperCase()}`;
    const [number, mixing] = splitRate(rate);
    const started = mixing === undefined ? undefined : components[component]!.started[mixing]!;
    const vectors = started === undefined ? components[component]![factor] : [started.rest];
    const rotation = rotations[started === undefined ? factor : "rest"];
    const coded =
      number === 0 ? CODERS.zero(vectors.length) : RATES[number]!.code(vectors, rotation, own, where);
    const distortion = number === 0 ? 1 : lostShare(vectors, coded, own);
    if (started === undefined) return { ...coded, distortion };
    const encoding = { ...coded.encoding, mix: started.bits };
    return { encoding, planes: coded.planes, mix: started.mix, distortion: started.share * distortion };
  });
}
