/**
 * Finds the position of a factor's start in a generator's stream, by the signs of its weights.
 *
 * A factor that moved little has mostly the signs of its draws. The search compares 32 signs at every position of the stream; if
 * they fit, 96 more; if those fit too, it correlates all weights. So the order of the modules need not be known. Most of the time goes
 * into the first 32: tables count the wrong signs of four targets at once.
 *
 * @module
 */
import {
  ownTwister,
  STATE_WORDS,
  skipDraws,
  type Twister,
  takeDraws,
  takeSigns,
} from "../../common/mt19937.ts";

/** Weights of a factor in the order in which they were drawn. */
export type Drawn = Float32Array;

/** Number of signs to compare before all weights. */
const SIGNS = 128;
/** Allowed wrong signs of the first 32, and of all; by chance, half are wrong. */
const FIRST_WRONG = 9;
const ALL_WRONG = 40;
/** Number of draws per block of the search. To certify a candidate draws again from the start of its block. */
const BLOCK = 2 ** 15;

/** Most targets that are searched together: a file may have a million modules, and the tables of four take 24 KiB. */
const TOGETHER = 256;

/** Least weights of a factor: a shorter one could fit by chance. */
export const LEAST_WEIGHTS = 512;
/** Least correlation of a useful start; by chance it is at most a quarter. */
export const LEAST_CORRELATION = 0.5;

/** Finds targets within `count` draws. @returns positions, relative to the generator's */
export function findInStream(
  twister: Twister,
  count: number,
  targets: readonly Drawn[],
  enough: number = targets.length,
): Map<number, number> {
  const found = new Map<number, number>();
  for (let first = 0; first < targets.length && found.size < enough; first += TOGETHER) {
    const some = targets.slice(first, first + TOGETHER);
    for (const [i, p] of findTogether(ownTwister(twister), count, some, enough - found.size))
      found.set(first + i, p);
  }
  return found;
}

/** As {@link findInStream}, at once; the generator is consumed. */
function findTogether(
  twister: Twister,
  count: number,
  targets: readonly Drawn[],
  enough: number,
): Map<number, number> {
  const found = new Map<number, number>();
  const wanted = targets.map(signsOf);
  const groups = Array.from({ length: Math.ceil(targets.length / 4) }, (_, g) =>
    wrongSigns(wanted.slice(4 * g, 4 * g + 4)),
  );
  const tail = BLOCK / 32;
  const bits = new Uint32Array(tail + SIGNS / 32);
  const checks: Twister = { words: new Uint32Array(STATE_WORDS), next: 0 };
  let before = ownTwister(twister); // the first draw of the block
  takeSigns(twister, bits.subarray(0, SIGNS / 32));
  for (let base = 0; base < count && found.size < enough; base += BLOCK) {
    takeSigns(twister, bits.subarray(SIGNS / 32, tail));
    const after = ownTwister(twister);
    takeSigns(twister, bits.subarray(tail, tail + SIGNS / 32));
    for (const [g, wrong] of groups.entries()) {
      if (wanted.slice(4 * g, 4 * g + 4).every((_, k) => found.has(4 * g + k))) continue;
      forFits(bits, Math.min(BLOCK, count - base), wrong, (k, p) => {
        const i = 4 * g + k;
        if (found.has(i) || wrongOf(bits, p, wanted[i]!) > ALL_WRONG) return;
        checks.words.set(before.words);
        checks.next = before.next;
        skipDraws(checks, p);
        if (correlationAfter(checks, targets[i]!) >= LEAST_CORRELATION) found.set(i, base + p);
      });
    }
    before = after;
    bits.copyWithin(0, tail, tail + SIGNS / 32);
  }
  return found;
}

/** Calls `use` with each position below `end` where the first 32 signs of a target fit. */
function forFits(
  bits: Uint32Array,
  end: number,
  [low, middle, high]: WrongSigns,
  use: (target: number, position: number) => void,
): void {
  for (let w = 0; 32 * w < end; w++) {
    const [one, two] = [bits[w]!, bits[w + 1]!];
    for (let shift = 0; shift < 32; shift++) {
      const word = shift === 0 ? one : (one >>> shift) | (two << (32 - shift));
      const some = (low[word & 2047]! + middle[(word >>> 11) & 2047]!) | 0;
      let fits = ~(some + high[word >>> 22]!) & 0x80808080;
      for (; fits !== 0 && 32 * w + shift < end; fits &= fits - 1)
        use((31 - Math.clz32(fits & -fits)) >> 3, 32 * w + shift);
    }
  }
}

/** Tables for signs 0 to 10, 11 to 21 and 22 to 31. */
type WrongSigns = readonly [Int32Array, Int32Array, Int32Array];

/**
 * Wrong signs of at most four targets, a byte each. The sum of three entries has the top bit of a byte clear for at most
 * `FIRST_WRONG` wrong signs; it is set for a target that is absent.
 */
function wrongSigns(targets: readonly Uint32Array[]): WrongSigns {
  const table = (shift: number): Int32Array =>
    Int32Array.from({ length: 2048 }, (_, signs) => {
      let entry = shift === 0 ? 0x7f7f7f7f - FIRST_WRONG * 0x01010101 : 0;
      for (let k = 0; k < 4; k++)
        entry +=
          (k < targets.length ? ones(signs ^ ((targets[k]![0]! >>> shift) & 2047)) : FIRST_WRONG + 1) <<
          (8 * k);
      return entry;
    });
  return [table(0), table(11), table(22)];
}

/** Correlation of a factor with the generator's next draws; advances the generator. */
export function correlationAfter(twister: Twister, weights: Drawn): number {
  const draws = new Int16Array(weights.length);
  takeDraws(twister, draws);
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < draws.length; i++) {
    const [x, y] = [draws[i]!, weights[i]!];
    xy += x * y;
    xx += x * x;
    yy += y * y;
  }
  return yy === 0 ? 0 : xy / Math.sqrt(xx * yy);
}

function signsOf(weights: Drawn): Uint32Array {
  const signs = new Uint32Array(SIGNS / 32);
  for (let i = 0; i < SIGNS; i++) if (weights[i]! >= 0) signs[i >>> 5]! |= 1 << (i & 31);
  return signs;
}

/** Number of wrong signs at a position. */
function wrongOf(bits: Uint32Array, p: number, signs: Uint32Array): number {
  let wrong = 0;
  for (let w = 0; w < signs.length; w++) wrong += ones(wordAt(bits, p + 32 * w) ^ signs[w]!);
  return wrong;
}

function wordAt(bits: Uint32Array, p: number): number {
  const [w, shift] = [p >>> 5, p & 31];
  return shift === 0 ? bits[w]! : (bits[w]! >>> shift) | (bits[w + 1]! << (32 - shift));
}

function ones(word: number): number {
  let x = word - ((word >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
