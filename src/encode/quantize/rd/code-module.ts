/**
 * Codes the vectors of a module at chosen rates and measures their losses.
 *
 * @module
 */
import type { Planes } from "../../../core/index.ts";
import type { Svd } from "../../linalg/svd.ts";
import { CODERS, type Coded } from "../coders.ts";
import { type AlignedExpert, restVectors } from "../parent/rest-vectors.ts";
import type { Lost } from "./allocate.ts";
import type { Manner } from "./code-trellis.ts";
import { MOST_STRETCH, timesScales } from "./gain.ts";
import { metricsOf } from "./noise-shaping.ts";
import { lostShare, RATES, splitRate } from "./rates.ts";
import { countedRest } from "./rests.ts";
import { restError } from "./subject.ts";
import type { Rotations } from "./survey.ts";
import { type ModuleVectors, moduleVectors, type TaskWork, tunedComponents } from "./vectors.ts";

/** A vector (of every expert) coded at a rate. */
export interface CodedSide extends Coded, Lost {
  /** The mixture of its start's draws. */
  readonly mix?: Planes;
  /** How much an error along it counts, relative to other errors of its energy; absent if all count alike. */
  readonly spread?: number | undefined;
}

/** One vector to code. */
export interface Wanted {
  readonly component: number;
  readonly factor: "b" | "a";
  /** Number of the rate. */
  readonly rate: number;
}

/**
 * Codes the wanted vectors, in their order.
 *
 * @param cores and `aligned`: from the survey
 * @throws LqaError SOURCE_RANGE
 */
export function codeModule(
  work: TaskWork,
  rotations: Rotations,
  wanted: readonly Wanted[],
  cores: readonly Svd[],
  aligned?: readonly AlignedExpert[],
): CodedSide[] {
  const { components, weights } = vectorsOf(work, wanted, cores, aligned);
  const metrics = metricsOf(work);
  return wanted.map(({ component, factor, rate }) => {
    const where = `module "${work.module.name}", factor ${factor.toUpperCase()}`;
    const [number, mixing] = splitRate(rate);
    const started = mixing === undefined ? undefined : components[component]!.started[mixing]!;
    const own = components[component]![factor];
    const vectors = started === undefined ? own : [started.rest];
    const kind = started === undefined ? factor : "rest";
    const manners = vectors.map(
      (_, expert): Manner => ({
        rotation: rotations[kind],
        weights: factor === "a" ? weights?.[expert] : undefined,
        metric: metrics?.(kind, rotations[kind]),
        once: aligned !== undefined,
      }),
    );
    const coded = number === 0 ? CODERS.zero(vectors.length) : RATES[number]!.code(vectors, manners, where);
    const distortion = number === 0 ? 1 : (coded.lost ?? lostShare(vectors, coded, manners));
    const spread = metrics?.(kind, rotations[kind]).spread(own[0]!);
    const left = components[component]!.left[factor];
    // Rate 0 is never wanted: it is coded from the beginning.
    if (aligned !== undefined)
      return {
        ...coded,
        planes: atFullLength(coded, distortion),
        distortion: restError(left, distortion),
        spread,
      };
    if (started === undefined) return { ...coded, distortion, spread };
    const { bits, mix, share } = started;
    const encoding = { ...coded.encoding, mix: bits };
    const lost = share * distortion;
    const planes = number === 0 ? coded.planes : atFullLength(coded, distortion);
    return { encoding, planes, mix, distortion: lost, counted: countedRest(lost), spread };
  });
}

/** The planes of a rest as long as it was: what training changed is neither weaker nor stronger than before. */
function atFullLength({ encoding, planes }: Coded, distortion: number): Planes[] {
  const factor = Math.min(1 / (1 - distortion), MOST_STRETCH);
  return planes.map((own) => ({ ...own, scales: timesScales(encoding, own, [factor]) }));
}

function vectorsOf(
  work: TaskWork,
  wanted: readonly Wanted[],
  cores: readonly Svd[],
  aligned: readonly AlignedExpert[] | undefined,
): Pick<ModuleVectors, "components" | "weights"> {
  if (work.tuned !== undefined)
    return { components: tunedComponents(work.module, work.tuned, work.start), weights: undefined };
  if (aligned === undefined) return moduleVectors(work, { cores });
  const componentsOf = (factor: "b" | "a"): number[] =>
    wanted.filter((one) => one.factor === factor).map(({ component }) => component);
  return restVectors(work, work.parent!, aligned, { b: componentsOf("b"), a: componentsOf("a") });
}
