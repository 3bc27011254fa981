/**
 * The `rd` profile: bits where they save the most energy, over all components of all modules at once.
 *
 * 1. Every module is reparameterized (LoRAQuant §3: thin QR, SVD of the core); its components are the candidates.
 * 2. Rates are allocated for the goal, first with the distortions of Gaussian data (`allocate.ts`).
 * 3. Vectors are coded at their rates and measured; the allocation is made again with what was measured, until it
 *    stands or {@link PASSES} are over. Nothing is coded twice.
 * 4. A byte goal is met on the file: its length follows from the bands, so the budget of the allocation is corrected
 *    by what index, padding and sections really take. An error goal is met on the decoded factors.
 *
 * Every component whose singular value is not zero gets at least the floor rate.
 *
 * @module
 */
import type { Band } from "../../codecs/packed.ts";
import { fail } from "../../errors.ts";
import { type LoraModule, type ModuleShape, parameterCount } from "../../model/adapter.ts";
import { type ModuleQuality, moduleQuality, totalQuality } from "../quality.ts";
import { allocate, type Candidate, type Choice, type RatePoint } from "./allocate.ts";
import { joinBands, planBands } from "./join-bands.ts";
import { RATES, rateBits } from "./rates.ts";
import { codeSide, type Side, type Subject, split } from "./split.ts";

/**
 * What an rd encoding aims at: a file of at most so many bytes, at most so much relative squared error, or so many bits
 * a weight for the modules, container not counted. The last is never refused: it gives way to the floor.
 */
export type RdGoal =
  | { readonly maxBytes: number }
  | { readonly maxError: number }
  | { readonly moduleBits: number };

/** What the profile needs to know. */
export interface RdOptions {
  readonly goal: RdGoal;
  /** Least bits a weight of a component that is not zero: 0, ½ or 1. */
  readonly floor: number;
}

/** What the surroundings provide. */
export interface RdSurroundings {
  /** Length of the file if its modules had these bands. */
  fileLength(modules: readonly (ModuleShape & { readonly bands: readonly Band[] })[]): number;
  /** Called after each piece of work; may throw to stop. */
  progress(done: number, total: number, name: string): Promise<void>;
}

/** Rounds of coding and allocating again; the third changes few vectors. */
const PASSES = 3;
/** Rounds in which the budget of an allocation is corrected by the size of the file. */
const FITTING_ROUNDS = 8;
/** A byte goal counts as met if at most this share of it is left. */
const SLACK = 0.002;

/**
 * Quantizes all modules of an adapter.
 *
 * @param modules finite weights, in the order of the file
 * @returns one band plan with planes and quality for each module, in the same order
 * @throws LqaError USAGE if the goal cannot be met, with the nearest that can; SOURCE_RANGE
 */
export async function quantizeRd(
  modules: readonly LoraModule[],
  options: RdOptions,
  surroundings: RdSurroundings,
): Promise<{ readonly factors: ReturnType<typeof joinBands>; readonly quality: ModuleQuality }[]> {
  const { goal } = options;
  const parameters = modules.reduce((sum, module) => sum + parameterCount(module), 0);
  const steps = (1 + PASSES) * modules.length;
  let done = 0;
  const subjects: Subject[] = [];
  for (const module of modules) {
    subjects.push(split(module));
    await surroundings.progress(++done, steps, module.name);
  }
  const floor = RATES.findIndex((rate) => rate.nominal >= options.floor);
  // An error goal is aimed at through the modelled loss; each round corrects the aim by what was measured.
  let aim = "maxError" in goal ? goal.maxError : 0;
  let best: Choice[][] | undefined;
  for (let pass = 0; pass < PASSES; pass++) {
    const choices =
      "maxBytes" in goal
        ? chooseForBytes(subjects, floor, goal.maxBytes, surroundings, best)
        : "moduleBits" in goal
          ? bySubject(
              subjects,
              allocate(candidatesOf(subjects, floor), { bits: goal.moduleBits * parameters }).choices,
            )
          : chooseForError(subjects, floor, aim);
    for (const [i, subject] of subjects.entries()) {
      codeChosen(subject, choices[i]!);
      await surroundings.progress(++done, steps, subject.module.name);
    }
    if ("maxError" in goal) {
      const reached = measuredError(subjects, choices);
      if (reached <= goal.maxError) best = choices;
      if (reached === 0) break;
      aim *= goal.maxError / reached;
    } else best = choices;
  }
  if (best === undefined) best = closeIn(subjects, floor, aim, (goal as { maxError: number }).maxError);
  const final = best;
  return subjects.map((subject, i) => {
    codeChosen(subject, final[i]!);
    const factors = joinBands(subject, final[i]!);
    return { factors, quality: moduleQuality(subject.module, factors) };
  });
}

/**
 * Allocates so that the file has at most `maxBytes`, and nearly that.
 *
 * @param fallback choices of an earlier pass, for a goal so tight that other bands no longer fit
 * @throws LqaError USAGE
 */
function chooseForBytes(
  subjects: readonly Subject[],
  floor: number,
  maxBytes: number,
  surroundings: RdSurroundings,
  fallback: Choice[][] | undefined,
): Choice[][] {
  const candidates = candidatesOf(subjects, floor);
  const sizeOf = (choices: readonly Choice[][]): number =>
    surroundings.fileLength(
      subjects.map((subject, i) => ({ ...subject.module, bands: planBands(subject, choices[i]!) })),
    );
  let budget = 8 * maxBytes;
  let best: { choices: Choice[][]; bytes: number } | undefined;
  for (let round = 0; round < FITTING_ROUNDS; round++) {
    const allocation = allocate(candidates, { bits: budget });
    const choices = bySubject(subjects, allocation.choices);
    const bytes = sizeOf(choices);
    if (bytes <= maxBytes && (best === undefined || bytes > best.bytes)) best = { choices, bytes };
    if (best !== undefined && maxBytes - best.bytes <= SLACK * maxBytes) break;
    // Index and padding hardly depend on the choices: what is over or left is corrected in one step.
    budget = allocation.bits + 8 * (maxBytes - bytes);
  }
  if (best !== undefined) return best.choices;
  // The file's size is not quite monotone in the bits: at the edge of what is possible the floors themselves decide.
  const floors = bySubject(subjects, allocate(candidates, { bits: 0 }).choices);
  const least = sizeOf(floors);
  if (least <= maxBytes) return floors;
  return (
    fallback ??
    fail("USAGE", {
      where: "the size goal",
      expected: `at least ${least} bytes at this floor`,
      actual: maxBytes,
      advice: "Allow more bytes, or choose a lower floor.",
    })
  );
}

function chooseForError(subjects: readonly Subject[], floor: number, relativeLoss: number): Choice[][] {
  const candidates = candidatesOf(subjects, floor);
  const energy = candidates.reduce((sum, candidate) => sum + candidate.energy, 0);
  return bySubject(subjects, allocate(candidates, { loss: relativeLoss * energy }).choices);
}

/** The last resort for an error goal that the passes kept missing: tighter and tighter aims. @throws LqaError USAGE */
function closeIn(subjects: readonly Subject[], floor: number, aim: number, maxError: number): Choice[][] {
  let reached = Number.POSITIVE_INFINITY;
  for (let round = 0, tighter = aim; round < FITTING_ROUNDS; round++, tighter *= 0.9) {
    const choices = chooseForError(subjects, floor, tighter);
    for (const [i, subject] of subjects.entries()) codeChosen(subject, choices[i]!);
    reached = measuredError(subjects, choices);
    if (reached <= maxError) return choices;
  }
  return fail("USAGE", {
    where: "the error goal",
    expected: `at least ${reached.toExponential(2)}`,
    actual: maxError,
    advice: "Allow more error, or use the profile raw.",
  });
}

function measuredError(subjects: readonly Subject[], choices: readonly Choice[][]): number {
  return totalQuality(
    subjects.map((subject, i) => moduleQuality(subject.module, joinBands(subject, choices[i]!))),
  ).relativeError;
}

/** Codes what is not coded yet at its chosen rate. */
function codeChosen(subject: Subject, choices: readonly Choice[]): void {
  for (const [i, component] of subject.components.entries())
    for (const factor of ["b", "a"] as const)
      codeSide(
        component[factor],
        choices[i]![factor],
        `module "${subject.module.name}", factor ${factor.toUpperCase()}`,
      );
}

function candidatesOf(subjects: readonly Subject[], floor: number): Candidate[] {
  return subjects.flatMap(({ components }) =>
    components.map(({ energy, b, a }) => ({ energy, b: pointsOf(b), a: pointsOf(a), floor })),
  );
}

/** Bits and distortion of a side at every rate. */
function pointsOf(side: Side): RatePoint[] {
  return RATES.map((rate, number) => ({
    bits: side.vectors.reduce((sum, vector) => sum + rateBits(rate, vector.length), 0),
    distortion: expectedDistortion(side, number),
  }));
}

/**
 * What a side loses at a rate: measured if it has been coded at it, else the Gaussian figure times how far off that
 * was at the nearest rate that has been coded.
 */
function expectedDistortion({ coded }: Side, number: number): number {
  const measured = coded.get(number);
  if (measured !== undefined) return measured.distortion;
  const model = RATES[number]!.distortion;
  let nearest = 0;
  for (const rate of coded.keys())
    if (rate > 0 && (nearest === 0 || Math.abs(rate - number) < Math.abs(nearest - number))) nearest = rate;
  if (nearest === 0 || number === 0) return model;
  return Math.min((model * coded.get(nearest)!.distortion) / RATES[nearest]!.distortion, 1);
}

function bySubject(subjects: readonly Subject[], choices: readonly Choice[]): Choice[][] {
  let at = 0;
  return subjects.map(({ components }) => choices.slice(at, (at += components.length)));
}
