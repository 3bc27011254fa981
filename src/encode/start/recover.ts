/**
 * Recovers the random start of an adapter's A factors from the trained weights alone.
 *
 * It tries common seeds first and searches their streams for the signs of a few modules. Then it takes bits of the draws that the
 * weights still show, in orders of modules that programs use, solves for the generator's state (`solve.ts`), and steps the state
 * back to its seed. Surplus equations certify a start, and then correlation does: values beyond the ends of the distribution are
 * all equal, and can contradict nothing. Modules that moved too far to gain from their start do not get it.
 *
 * @module
 */
import {
  nextSeedWord,
  STATE_WORDS,
  seedWords,
  skipDraws,
  type Twister,
  twisterAt,
} from "../../common/mt19937.ts";
import { correlationAfter, findInStream, LEAST_CORRELATION, LEAST_WEIGHTS } from "./locate.ts";
import { COMMON_SEEDS, compareByModel, SPACINGS, type Spacing } from "./orders.ts";
import { type Equation, solve } from "./solve.ts";

/** The A factor of a module. */
export interface FactorA {
  readonly name: string;
  /** Weights of A, number of inputs, and number of weights of B. */
  readonly a: Float32Array;
  readonly inputs: number;
  readonly sizeB: number;
}

/** A recovered start. */
export interface Recovered {
  /** The seed, or, if no seed is near, the 624 words before the first draw. */
  readonly state: number | Uint32Array;
  /** Position of the first draw of each module with a start, by its number. */
  readonly positions: ReadonlyMap<number, number>;
  /** Description of how it was found. */
  readonly by: string;
}

/** Number of draws of a stream that are searched for modules. */
const SEARCHED = 2 ** 22;
/** The same for a seed that the caller knows. */
const SEARCHED_KNOWN = 2 ** 26;
/** Number of modules to search for in the streams of common seeds. */
const PROBES = 4;
/** Number of equations: more than the recurrence's degree, and enough to certify. */
const EQUATIONS = 20_400;
/** Largest margin that is measured, in standard deviations of the movement. */
const MOST_DEVIATIONS = 64;
/** Weights from which equations are taken: the first number that may be enough, and the most. */
const CHAIN_WEIGHTS = 2 ** 16;
const MOST_CHAIN_WEIGHTS = 2 ** 20;
/** Distance of every bit from its next change, in standard deviations of the movement: enough with few weights, and the least. */
const GOOD_MARGIN = 5;
const LEAST_MARGIN = 3;
const LEADING_BITS = 8;
/** Largest share of A's energy that may not be from its draws: where A moved farther, a start costs behaviour (docs/known-starts.md). */
const MOST_MOVED = 1 / 8;
/** Largest energy of A, relative to that of draws: a movement adds its own, and beyond this it is more than {@link MOST_MOVED}. */
const MOST_ENERGY = 1.2;
/** Most steps back in search of a seed: no file can name a draw further from its seed. */
const STEPS_BACK = 2 ** 28;

/**
 * Finds the start of the modules that moved little, if they are at least half of all.
 *
 * @param spacings possible orders of the program that made the adapter; none if it has another generator
 * @param seed a known seed: no other is tried
 */
export function recoverStart(
  subjects: readonly FactorA[],
  spacings: readonly Spacing[],
  seed?: number,
): Recovered | undefined {
  const order = subjects
    .map((_, i) => i)
    .filter((i) => looksUniform(subjects[i]!))
    .sort((x, y) => compareByModel(subjects[x]!.name, subjects[y]!.name));
  const near = order.filter((i) => energyOf(subjects[i]!) <= MOST_ENERGY);
  // If most modules moved far, a search is not worthwhile.
  if (near.length === 0 || 2 * near.length < subjects.length) return undefined;
  if (seed !== undefined) return movedLittle(subjects, bySeeds(subjects, order, [seed], SEARCHED_KNOWN));
  if (spacings.length === 0) return undefined;
  const found = bySeeds(subjects, order, COMMON_SEEDS, SEARCHED) ?? bySolving(subjects, order, spacings);
  return movedLittle(subjects, found);
}

/** The start of the modules that moved by at most {@link MOST_MOVED}, if they are at least half of all. */
function movedLittle(subjects: readonly FactorA[], found: Recovered | undefined): Recovered | undefined {
  if (found === undefined) return undefined;
  const positions = new Map<number, number>();
  const twister = streamAt(found.state, 0);
  let now = 0;
  for (const [i, position] of [...found.positions].sort(([, p], [, q]) => p - q)) {
    const { a } = subjects[i]!;
    skipDraws(twister, position - now);
    now = position + a.length;
    if (1 - correlationAfter(twister, a) ** 2 <= MOST_MOVED) positions.set(i, position);
  }
  return 2 * positions.size < subjects.length ? undefined : { ...found, positions };
}

/**
 * Tests for a uniform distribution on ±1/√inputs with some noise: the second moment is near its value, and the fourth is flat.
 * Weights that moved far show nothing of their start.
 */
function looksUniform(subject: FactorA): boolean {
  const { a, inputs } = subject;
  if (a.length < LEAST_WEIGHTS) return false;
  const energy = energyOf(subject);
  if (!(energy > 0.7 && energy < 1.5)) return false;
  let fourth = 0;
  for (let i = 0; i < a.length; i++) fourth += a[i]! ** 4;
  return (9 * inputs ** 2 * fourth) / a.length / energy ** 2 < 2.4;
}

/** The energy of A, relative to that of its draws. */
function energyOf({ a, inputs }: FactorA): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * a[i]!;
  return (3 * inputs * sum) / a.length;
}

function bySeeds(
  subjects: readonly FactorA[],
  order: readonly number[],
  seeds: readonly number[],
  searched: number,
): Recovered | undefined {
  const count = Math.min(seeds.length === 1 ? 2 : PROBES, order.length);
  const probes = Array.from({ length: count }, (_, i) => order[Math.floor((i * order.length) / count)]!);
  for (const seed of seeds) {
    const hits = findInStream(
      twisterAt(seedWords(seed)),
      searched,
      probes.map((i) => subjects[i]!.a),
      1,
    );
    for (const [probe, position] of hits) {
      const positions = placeAll(subjects, order, seed, probes[probe]!, position);
      return { state: seed, positions, by: `seed ${seed}` };
    }
  }
  return undefined;
}

function bySolving(
  subjects: readonly FactorA[],
  order: readonly number[],
  spacings: readonly Spacing[],
): Recovered | undefined {
  for (const spacing of spacings) {
    const chain: number[] = [];
    const starts: number[] = [];
    let equations: Equation[] | undefined;
    let [n, taken] = [0, 0];
    for (const [k, i] of order.entries()) {
      const { a, sizeB } = subjects[i]!;
      if (chain.length > 0) n += spacing.before(a.length, sizeB);
      chain.push(i);
      starts.push(n);
      n += a.length;
      taken += a.length;
      const [enough, all] = [taken >= CHAIN_WEIGHTS, k + 1 === order.length || taken >= MOST_CHAIN_WEIGHTS];
      if (!enough && !all) continue;
      const own = chain.map((one) => subjects[one]!);
      // More weights have better bits among them, but one module in another place invalidates all equations.
      equations = equationsOf(own, starts, all ? LEAST_MARGIN : GOOD_MARGIN);
      if (equations !== undefined || all) break;
    }
    if (equations === undefined) return undefined;
    const solutions = solve(equations);
    if (solutions === undefined || 4 * solutions.contradicted > solutions.surplus) continue;
    const fits = solutions.words.map((words) =>
      correlationAfter({ words: words.slice(), next: 0 }, subjects[chain[0]!]!.a),
    );
    const best = Math.max(...fits);
    if (best < LEAST_CORRELATION) continue;
    const words = solutions.words[fits.indexOf(best)]!;
    const { state, position } = origin(words);
    return {
      state,
      positions: placeAll(subjects, order, state, chain[0]!, position),
      by: `${spacing.name}, ${solutions.contradicted} of ${solutions.surplus} contradicted`,
    };
  }
  return undefined;
}

/** The most reliable leading bits of the draws: those far from their next change, relative to the movement of their module. */
function equationsOf(
  chain: readonly FactorA[],
  starts: readonly number[],
  margin: number,
): Equation[] | undefined {
  const BINS = 4096;
  const counts = new Uint32Array(BINS + 1);
  const noises = chain.map(noiseOf);
  const visit = (use: (bin: number, k: number, i: number, bit: number, value: number) => void): void => {
    for (const [k, { a, inputs }] of chain.entries()) {
      const scale = Math.sqrt(inputs) / 2;
      const unit = BINS / MOST_DEVIATIONS / noises[k]!;
      for (let i = 0; i < a.length; i++) {
        // A weight beyond the ends has moved at least that far, and is no more reliable than one at the end.
        const u = Math.min(Math.max(a[i]! * scale + 0.5, 0), 1);
        for (let bit = 1, cells = 2; bit <= LEADING_BITS; bit++, cells *= 2) {
          const cell = Math.min(Math.floor(u * cells), cells - 1);
          const below = cell === 0 ? 1 : u - cell / cells;
          const above = cell === cells - 1 ? 1 : (cell + 1) / cells - u;
          use(Math.min(Math.floor(Math.min(below, above) * unit), BINS), k, i, bit, cell & 1);
        }
      }
    }
  };
  visit((bin) => counts[bin]!++);
  let least = BINS + 1;
  for (let count = 0; least > 0 && count < EQUATIONS; count += counts[least]!) least--;
  if (least < (margin * BINS) / MOST_DEVIATIONS) return undefined;
  const equations: Equation[] = [];
  visit((bin, k, i, bit, value) => {
    if (bin >= least) equations.push({ n: starts[k]! + i, bit: 24 - bit, value });
  });
  return equations.length > 2 * EQUATIONS ? undefined : equations;
}

/** Standard deviation of the movement, on the scale where draws are from 0 to 1: from the excess of the variance over theirs. */
function noiseOf(subject: FactorA): number {
  return Math.sqrt(Math.max((energyOf(subject) - 1) / 12, 1e-4));
}

/** Steps back from the words of outputs to the seed. `position` is that of the first of these words. */
function origin(words: Uint32Array): { state: number | Uint32Array; position: number } {
  const ring = new Uint32Array(1024);
  ring.set(words);
  for (let k = -1; k > -STEPS_BACK; k--) {
    const own = untwist(ring[(k + 624) & 1023]! ^ ring[(k + 397) & 1023]!);
    const before = untwist(ring[(k + 623) & 1023]! ^ ring[(k + 396) & 1023]!);
    const a = (own & 0x80000000) | (before & 0x7fffffff);
    ring[k & 1023] = a;
    const b = ring[(k + 1) & 1023]!;
    if (b !== nextSeedWord(a >>> 0, 2) || ring[(k + 2) & 1023] !== nextSeedWord(b, 3)) continue;
    return { state: seedBefore(a >>> 0), position: -(k - 1) - STATE_WORDS };
  }
  // The 624 words before: the block from which the first output is generated.
  const state = new Uint32Array(STATE_WORDS);
  const back = new Uint32Array(2 * STATE_WORDS + 1);
  back.set(words, STATE_WORDS + 1);
  for (let k = STATE_WORDS; k > 0; k--) {
    const own = untwist(back[k + 624]! ^ back[k + 397]!);
    const before = untwist(back[k + 623]! ^ back[k + 396]!);
    back[k] = (own & 0x80000000) | (before & 0x7fffffff);
  }
  state.set(back.subarray(1, STATE_WORDS + 1));
  return { state, position: 0 };
}

function untwist(mixed: number): number {
  return mixed < 0 ? ((mixed ^ 0x9908b0df) << 1) | 1 : mixed << 1;
}

/** The seed whose state has this word at index 1. */
function seedBefore(word: number): number {
  const MULTIPLIER = 1812433253;
  let inverse = 1;
  for (let i = 0; i < 5; i++) inverse = Math.imul(inverse, 2 - Math.imul(MULTIPLIER, inverse));
  const y = Math.imul(word - 1, inverse);
  return (y ^ (y >>> 30)) >>> 0;
}

/** Makes a generator at a position. */
function streamAt(state: number | Uint32Array, position: number): Twister {
  const twister = twisterAt(typeof state === "number" ? seedWords(state) : state);
  skipDraws(twister, position);
  return twister;
}

/** Positions of all modules, from that of one: by the spacing that fits most of them, the others by search. */
function placeAll(
  subjects: readonly FactorA[],
  order: readonly number[],
  state: number | Uint32Array,
  known: number,
  position: number,
): Map<number, number> {
  let best = new Map<number, number>();
  for (const spacing of SPACINGS) {
    const expected = new Map<number, number>([[known, position]]);
    const at = order.indexOf(known);
    for (let i = at - 1, p = position; i >= 0; i--) {
      const { a, sizeB } = subjects[order[i + 1]!]!;
      p -= spacing.before(a.length, sizeB) + subjects[order[i]!]!.a.length;
      expected.set(order[i]!, p);
    }
    for (let i = at + 1, p = position; i < order.length; i++) {
      const { a, sizeB } = subjects[order[i]!]!;
      p += subjects[order[i - 1]!]!.a.length + spacing.before(a.length, sizeB);
      expected.set(order[i]!, p);
    }
    const fitting = new Map<number, number>();
    const sorted = [...expected].filter(([, p]) => p >= 0).sort(([, p], [, q]) => p - q);
    const twister = streamAt(state, sorted[0]![1]);
    let now = sorted[0]![1];
    for (const [i, p] of sorted) {
      skipDraws(twister, p - now);
      now = p + subjects[i]!.a.length;
      if (correlationAfter(twister, subjects[i]!.a) >= LEAST_CORRELATION) fitting.set(i, p);
    }
    if (fitting.size > best.size) best = fitting;
    if (best.size === order.length) return best;
  }
  const missing = order.filter((i) => !best.has(i));
  const total = order.reduce((sum, i) => sum + 2 * subjects[i]!.a.length + subjects[i]!.sizeB, 0);
  const from = Math.max(0, position - Math.min(2 * total, SEARCHED));
  const range = Math.min(4 * total, SEARCHED * 2, Math.floor(2 ** 30 / Math.max(1, missing.length)));
  const hits = findInStream(
    streamAt(state, from),
    range,
    missing.map((i) => subjects[i]!.a),
  );
  for (const [i, p] of hits) best.set(missing[i]!, from + p);
  return best;
}
