/**
 * The `rd` profile: puts bits where they save the most energy, over all components of all modules at once.
 *
 * 1. It reparameterizes every module (arXiv 2510.26690, §3: thin QR, SVD of the core); the components are the candidates.
 * 2. It allocates rates for the goal, with the distortions of normal weights, corrected per factor by a trial
 *    (`allocate.ts`, `survey.ts`). A second allocation with the actual losses of all vectors changes the error by
 *    0.02 % on average, in either direction (14 adapters), so there is none.
 * 3. A byte goal applies to the file. Its length follows from the bands, so the budget of the allocation is corrected
 *    by the actual size of index, padding and sections. An error goal applies to the decoded factors; it takes several rounds,
 *    each of which uses the losses of the vectors coded so far.
 * 4. It codes each vector at its rate, at most once per rate.
 *
 * Every component with a nonzero singular value gets at least the floor rate. A module whose squared error would be above 1, because the
 * errors of many components overlap, is made weaker until it is below. To make it zero costs behaviour (docs/fidelity.md).
 *
 * @module
 */

import type { ModuleStart, PackedFactors } from "../../../core/index.ts";
import { localStart } from "../../../core/rooms.ts";
import * as KIND from "../../../error-catalogue.ts";
import { fail } from "../../../errors.ts";
import { type LoraModule, parameterCount } from "../../../model/adapter.ts";
import type { Calibration, TunedVectors, Tuning } from "../../../model/calibration.ts";
import type { ParentFactors } from "../parent/align.ts";
import type { QuantizedModule } from "../profile.ts";
import { type ModuleQuality, totalQuality } from "../quality.ts";
import type { Executor } from "../tasks.ts";
import { allocate, type Choice, changedError, type Goal } from "./allocate.ts";
import { approachBytes, type Choose, type FileLength } from "./approach-bytes.ts";
import type { CodedSide, Wanted } from "./code-module.ts";
import { type Fit, lossOf, stretchComponents } from "./gain.ts";
import { joinBands, sameEncoding } from "./join-bands.ts";
import { RATES } from "./rates.ts";
import {
  candidatesOf,
  countedOutputs,
  divergenceOf,
  lossOfSubject,
  type Subject,
  sensitivityScale,
  subjectOf,
} from "./subject.ts";

/**
 * The goal of an rd encoding: a maximum file size in bytes, a maximum relative squared error, or bits per weight of the
 * modules, without the container. The last one never fails: the floor overrides it.
 */
export type RdGoal =
  | { readonly maxBytes: number }
  | { readonly maxError: number }
  | { readonly moduleBits: number };

/** Options of the profile. */
export interface RdSettings {
  readonly goal: RdGoal;
  /** Minimum bits per weight of a nonzero component: 0, ½ or 1. */
  readonly floor: number;
  readonly fit: Fit;
  /** Its moments measure the error of the modules' outputs. */
  readonly calibration: Omit<Calibration, "source">;
  /** Whether allocation and codes also follow the calibration: see `moduleVectors`, `candidatesOf` and `stretchComponents`. */
  readonly weighted: boolean;
  /** Positions of the draws, by module name, for modules without experts that have a start. */
  readonly starts: ReadonlyMap<string, ModuleStart>;
  /** Factors of parents, by the names of the modules that have one. */
  readonly parents: ReadonlyMap<string, ParentFactors>;
}

/** What the caller provides. */
export interface RdSurroundings {
  readonly executor: Executor;
  readonly fileLength: FileLength;
  /** Called after each task; may throw to stop. */
  progress(done: number, total: number, name: string): Promise<void>;
}

/** A module at chosen rates. */
type Measured = Pick<QuantizedModule, "factors" | "quality">;

/** What a module that is weakened keeps below an error of 1: rounding scales to bf16 changes them by 2^-9 at most. */
const WEAKENED = 1 - 2 ** -6;
/** Most rounds that approach an error goal; `ERROR_SLACK`: the share of the goal that may be left. */
const ERROR_ROUNDS = 8;
const ERROR_SLACK = 0.01;
/**
 * The error of the decoded factors, relative to the sum of the components' errors, as the first round assumes it. With a parent it is 1.01
 * to 1.06 (bench/parents.mjs), because what is not coded adds up, and most of the work is one round.
 */
const FIRST_RATIO = { whole: 1, child: 1.03 };

/**
 * Quantizes all modules of an adapter.
 *
 * @param modules finite weights, in the order of the file
 * @returns a band plan with planes and quality for each module, in the same order
 * @throws LqaError USAGE if the goal cannot be met, with the nearest that can; SOURCE_RANGE, SOURCE_SHAPE,
 *   SOURCE_NONFINITE
 */
export async function quantizeRd(
  modules: readonly LoraModule[],
  options: RdSettings,
  surroundings: RdSurroundings,
): Promise<QuantizedModule[]> {
  const { goal, fit, calibration } = options;
  const { moments } = calibration;
  const {
    moments: weights,
    sensitivities,
    directions,
    tuning,
  }: Omit<Calibration, "source"> = options.weighted ? calibration : { moments: new Map() };
  const { executor } = surroundings;
  // Parents that do not help are removed below.
  const parents = new Map(options.parents);
  const phase = (doing: string, total: number) => {
    let done = 0;
    return (name: string): Promise<void> => surroundings.progress(++done, total, `${doing} ${name}`);
  };

  // The start in a form that can be posted to a thread, without the draws before the module's.
  const startOf = ({ name }: LoraModule): ModuleStart | undefined => {
    const start = options.starts.get(name);
    return start && localStart(start);
  };
  const work = (module: LoraModule) => ({
    module,
    moments: weights.get(module.name),
    start: startOf(module),
    parent: parents.get(module.name),
  });
  const surveys = await executor.run("survey", modules.map(work), phase("analyzing", modules.length));
  const outputs = countedOutputs(modules);
  const subjects = modules.map((module, i) => {
    if (surveys[i]!.left === undefined) parents.delete(module.name);
    return subjectOf(module, surveys[i]!, sensitivities?.get(module.name), fit, outputs[i]!);
  });
  const floor = RATES.findIndex((rate) => rate.nominal >= options.floor);
  const choose: Choose = (aim) => allocateBits(subjects, floor, fit, aim);

  const codeSides = async (
    wanted: readonly (readonly Wanted[])[],
    doing: string,
    tuned?: ReadonlyMap<string, TunedVectors>,
  ): Promise<CodedSide[][]> => {
    const busy = [...subjects.keys()].filter((i) => wanted[i]!.length > 0);
    const inputs = busy.map((i) => {
      const { module, survey } = subjects[i]!;
      const { b, a, rest, cores, aligned } = survey;
      const rotations = { b: b.rotation, a: a.rotation, rest: rest.rotation };
      const known = {
        tuned: tuned?.get(module.name),
        // Shaped noise has more energy; the least squared error of the weights is without it.
        directions: fit === "least-squares" ? undefined : directions?.get(module.name),
      };
      return { ...work(module), ...known, rotations, wanted: wanted[i]!, cores, aligned };
    });
    const coded = await executor.run("code", inputs, phase(doing, inputs.length));
    const sides: CodedSide[][] = subjects.map(() => []);
    for (const [k, i] of busy.entries()) sides[i] = coded[k]!;
    return sides;
  };
  const code = async (choices: readonly Choice[][]): Promise<void> => {
    const missing = subjects.map((subject, i) => wantedOf(subject, choices[i]!));
    for (const [i, sides] of (await codeSides(missing, "coding")).entries())
      for (const [k, { component, factor, rate }] of missing[i]!.entries())
        subjects[i]!.components[component]![factor].coded.set(rate, sides[k]!);
  };
  // The subjects with their tuned vectors, coded at the same rates.
  const codeTuned = async (choices: readonly Choice[][], { vectors }: Tuning): Promise<Subject[]> => {
    const wanted = subjects.map((subject, i) =>
      tunedOf(subject, choices[i]!, vectors.get(subject.module.name)),
    );
    const coded = await codeSides(wanted, "coding what was tuned", vectors);
    return subjects.map((subject, i) => withSides(subject, wanted[i]!, coded[i]!));
  };
  const pack = (
    own: Subject,
    i: number,
    choices: readonly Choice[],
    further?: (component: number) => number,
  ): PackedFactors => stretchComponents(subjects[i]!, choices, joinBands(own, choices), further);
  const measure = async (
    which: readonly number[],
    factors: readonly PackedFactors[],
  ): Promise<Measured[]> => {
    const inputs = which.map((i, k) => ({
      module: modules[i]!,
      moments: moments.get(modules[i]!.name),
      start: startOf(modules[i]!),
      parent: parents.get(modules[i]!.name),
      factors: factors[k]!,
    }));
    const qualities = await executor.run("measure", inputs, phase("measuring", inputs.length));
    return qualities.map((quality, k) => ({ quality, factors: factors[k]! }));
  };
  // By the choices of a module: a further round changes those of few modules.
  const known = modules.map(() => new Map<string, Measured>());
  const measureNew = async (choices: readonly Choice[][]): Promise<Measured[]> => {
    const keys = choices.map((own) => JSON.stringify(own));
    const missing = [...keys.keys()].filter((i) => !known[i]!.has(keys[i]!));
    const measured = async (which: readonly number[], f?: readonly number[]): Promise<void> => {
      const factors = which.map((i, k) => pack(subjects[i]!, i, choices[i]!, f && (() => f[k]!)));
      const found = await measure(which, factors);
      for (const [k, i] of which.entries()) known[i]!.set(keys[i]!, found[k]!);
    };
    await measured(missing);
    const qualityOf = (i: number): ModuleQuality => known[i]!.get(keys[i]!)!.quality;
    const isWorse = (i: number): boolean =>
      qualityOf(i).relativeError > 1 && subjects[i]!.survey.left === undefined;
    // Sensitivities that were measured know better.
    const worse = sensitivities === undefined || calibration.relative ? missing.filter(isWorse) : [];
    const weaker = worse.map((i) => weakening(qualityOf(i)));
    await measured(worse, weaker);
    return keys.map((key, i) => known[i]!.get(key)!);
  };
  const finish = async (choices: readonly Choice[][]): Promise<Finished> => {
    const found = await measureNew(choices);
    const scale = sensitivityScale(subjects, fit);
    const encoded = found.map(({ factors, quality: plain }, i): QuantizedModule => {
      const divergence = calibration.relative ? undefined : divergenceOf(subjects[i]!, choices[i]!, fit);
      const quality = { ...plain, ...(divergence !== undefined && { divergence }) };
      const fromParent = subjects[i]!.survey.left !== undefined;
      return { factors, fromParent, quality, loss: lossOfSubject(subjects[i]!, choices[i]!, fit, scale) };
    });
    return { choices, encoded };
  };
  // Last: the rates do not depend on what was trained. The estimate of divergence does not cover it.
  const tune = async ({ choices, encoded }: Finished): Promise<QuantizedModule[]> => {
    if (tuning === undefined) return encoded;
    const tuned = await codeTuned(choices, tuning);
    const factors = tuned.map((subject, i) => {
      const gains = tuning.gains.get(subject.module.name);
      return pack(subject, i, choices[i]!, (component) => gains?.[component] ?? 1);
    });
    const found = await measure([...modules.keys()], factors);
    return encoded.map((one, i) => ({ ...one, ...found[i]!, untuned: one.factors }));
  };

  if ("maxError" in goal) return tune(await approachError(subjects, goal.maxError, choose, code, finish));
  const parameters = modules.reduce((sum, module) => sum + parameterCount(module), 0);
  const used = startBits(options.starts) + (parents.size > 0 ? 32 * (2 + 8 + modules.length) : 0);
  if ("maxBytes" in goal)
    return tune(
      await finish(await approachBytes(subjects, goal.maxBytes, surroundings.fileLength, choose, code)),
    );
  const { choices } = choose({ bits: goal.moduleBits * parameters - used });
  await code(choices);
  return tune(await finish(choices));
}

/** A factor for a module with an error above 1 that makes it a little less than 1. */
function weakening({ gain, energy, decodedEnergy }: ModuleQuality): number {
  // The error is 1 − 2 f gain + f² decodedEnergy / energy.
  return (WEAKENED * 2 * gain * energy) / decodedEnergy;
}

/** Modules as they are coded, before anything that was trained; `choices`: their rates. */
interface Finished {
  readonly choices: readonly Choice[][];
  readonly encoded: QuantizedModule[];
}

/** Bits of starts in the index, for any rates. */
function startBits(starts: ReadonlyMap<string, ModuleStart>): number {
  const [first] = starts.values();
  if (first === undefined) return 0;
  const { state } = first.start;
  return 32 * (1 + (typeof state === "number" ? 1 : state.length) + starts.size);
}

/** Vectors that these choices need and that are not coded yet. */
function wantedOf({ components }: Subject, choices: readonly Choice[]): Wanted[] {
  return components.flatMap((sides, component) =>
    (["b", "a"] as const)
      .map((factor): Wanted => ({ component, factor, rate: choices[component]![factor] }))
      .filter(({ factor, rate }) => !sides[factor].coded.has(rate)),
  );
}

/** The tuned vectors of a module that have bits. */
function tunedOf(
  { module, components }: Subject,
  choices: readonly Choice[],
  vectors: TunedVectors | undefined,
): Wanted[] {
  const count = vectors === undefined ? 0 : Math.min(components.length, vectors.b.length / module.out);
  return choices
    .slice(0, count)
    .flatMap((choice, component) =>
      (["b", "a"] as const)
        .map((factor): Wanted => ({ component, factor, rate: choice[factor] }))
        .filter(({ rate }) => rate > 0),
    );
}

/** A subject with other planes of some sides. A side that would need another encoding keeps its planes: bands must stay as they are. */
function withSides(subject: Subject, wanted: readonly Wanted[], coded: readonly CodedSide[]): Subject {
  const components = subject.components.slice();
  for (const [k, { component, factor, rate }] of wanted.entries()) {
    const own = components[component]!;
    if (!sameEncoding(own[factor].coded.get(rate)!.encoding, coded[k]!.encoding)) continue;
    components[component] = { ...own, [factor]: { ...own[factor], coded: new Map([[rate, coded[k]!]]) } };
  }
  return { ...subject, components };
}

/** Chooses the rates of all components for a goal. @returns choices by module, and their cost */
function allocateBits(
  subjects: readonly Subject[],
  floor: number,
  fit: Fit,
  goal: Goal,
): { choices: Choice[][]; bits: number } {
  const scale = sensitivityScale(subjects, fit);
  const candidates = subjects.flatMap((subject) => candidatesOf(subject, floor, fit, scale));
  const { choices, bits } = allocate(candidates, goal, fit);
  let at = 0;
  return {
    choices: subjects.map(({ components }) => choices.slice(at, (at += components.length))),
    bits,
  };
}

/**
 * Allocates so that the error of the decoded factors is at most, and close to, `maxError`. The errors of the components add
 * up to nearly the total error; each round measures the ratio of both again.
 *
 * @throws LqaError USAGE if even the highest rates lose more
 */
async function approachError(
  subjects: readonly Subject[],
  maxError: number,
  choose: Choose,
  code: (choices: readonly Choice[][]) => Promise<void>,
  finish: (choices: readonly Choice[][]) => Promise<Finished>,
): Promise<Finished> {
  const energy = subjects.reduce((sum, { survey }) => sum + survey.energies.reduce((s, e) => s + e, 0), 0);
  const isChild = subjects.some(({ survey }) => survey.left !== undefined);
  let correction = isChild ? FIRST_RATIO.child : FIRST_RATIO.whole;
  let best: { finished: Finished; error: number; bits: number } | undefined;
  let least = Number.POSITIVE_INFINITY;
  let tried = "";
  for (let round = 0; round < ERROR_ROUNDS; round++) {
    const { choices } = choose({ error: ((1 - ERROR_SLACK / 4) * maxError * energy) / correction });
    const key = JSON.stringify(choices);
    if (key === tried) break;
    tried = key;
    await code(choices);
    const finished = await finish(choices);
    const { plain, counted } = errorsOf(subjects, choices);
    const { relativeError: measured, averageBits: bits } = totalQuality(
      finished.encoded.map(({ quality }) => quality),
    );
    const error = energy === 0 ? measured : measured + (counted - plain) / energy;
    least = Math.min(least, error);
    // A child has few vectors, and each round codes some of them at other rates: a lower error may take fewer bits.
    const isBetter = best === undefined || (isChild ? bits < best.bits : error > best.error);
    if (error <= maxError && isBetter) best = { finished, error, bits };
    if (error === 0 || (error <= maxError && error >= (1 - ERROR_SLACK) * maxError)) break;
    if (counted > 0) correction = (error * energy) / counted;
  }
  return (
    best?.finished ??
    fail(KIND.USAGE, {
      where: "maxError",
      expected: `at least ${least.toExponential(2)}`,
      actual: maxError,
      advice: "Allow more error, or use the profile raw.",
    })
  );
}

/** The components' squared errors at rates at which they are coded, in sum; `counted`: as the allocation counts them. */
function errorsOf(
  subjects: readonly Subject[],
  choices: readonly Choice[][],
): { plain: number; counted: number } {
  let [plain, counted] = [0, 0];
  for (const [i, { components }] of subjects.entries())
    for (const [c, { b, a, energy, fit }] of components.entries()) {
      const [ofB, ofA] = [b.coded.get(choices[i]![c]!.b)!, a.coded.get(choices[i]![c]!.a)!];
      const error = energy * lossOf((1 - ofB.distortion) * (1 - ofA.distortion), fit, 1);
      plain += error;
      const felt = ({ distortion, counted = distortion }: CodedSide): number => counted;
      counted += fit === "rest" ? changedError(energy, felt(ofB), felt(ofA)) : error;
    }
  return { plain, counted };
}
