/**
 * Finds the position of a factor's start in a generator's stream, by the signs of its weights.
 *
 * A factor that moved little has mostly the signs of its draws. The search compares 32 signs at every position of the stream; if
 * they fit, 96 more; if those fit too, it correlates all weights. So the order of the modules need not be known.
 *
 * @module
 */
import { skipDraws, type Twister, takeDraws, takeOutputs } from "../../core/codecs/start/mt19937.ts";
import { STATE_WORDS } from "../../core/codecs/start/start.ts";

/** Weights of a factor in the order in which they were drawn. */
export type Drawn = Float32Array;

/** Number of signs to compare before all weights. */
const SIGNS = 128;
/** Allowed wrong signs of the first 32, and of all; by chance, half are wrong. */
const FIRST_WRONG = 9;
const ALL_WRONG = 40;
/** Number of draws per block of the search. */
const BLOCK = 2 ** 18;

/** Least weights of a factor: a shorter one could fit by chance. */
export const LEAST_WEIGHTS = 512;
/** Least correlation of a useful start; by chance it is at most a quarter. */
export const LEAST_CORRELATION = 0.5;

/** Finds targets within `count` draws. @returns positions, relative to the generator's; the generator is consumed */
export function findInStream(
  twister: Twister,
  count: number,
  targets: readonly Drawn[],
  enough: number = targets.length,
): Map<number, number> {
  const found = new Map<number, number>();
  const wanted = targets.map(signsOf);
  const outputs = new Uint32Array(BLOCK);
  const bits = new Uint32Array(BLOCK / 32 + SIGNS / 32 + 1);
  let open = targets.map((_, i) => i);
  const checks: Twister = { words: new Uint32Array(STATE_WORDS), next: 0 };
  for (let base = 0; base < count && found.size < enough; base += BLOCK) {
    const keep = base === 0 ? 0 : SIGNS / 32;
    if (keep > 0) bits.copyWithin(0, BLOCK / 32, BLOCK / 32 + keep);
    else takeSigns(twister, outputs.subarray(0, SIGNS), bits, 0);
    // The state before the block, from which to draw all weights of a candidate.
    const before: Twister = { words: twister.words.slice(), next: twister.next };
    takeSigns(twister, outputs, bits, SIGNS / 32);
    for (const i of open) {
      const signs = wanted[i]!;
      const position = firstFit(bits, Math.min(BLOCK, count - base), signs, (p) => {
        const from = p - SIGNS;
        // The first signs of a block were drawn before the saved state.
        if (from < 0 && base > 0) return wrongOf(bits, p, signs) <= ALL_WRONG - 6;
        checks.words.set(before.words);
        checks.next = before.next;
        if (from >= 0) skipDraws(checks, from);
        return correlationAfter(checks, targets[i]!, from < 0 ? -from : 0) >= LEAST_CORRELATION;
      });
      if (position >= 0) found.set(i, base + position);
    }
    open = open.filter((i) => !found.has(i));
    if (open.length === 0) break;
  }
  return found;
}

/** The first position below `end` where the signs fit and `certify` confirms it; −1 if there is none. */
function firstFit(
  bits: Uint32Array,
  end: number,
  signs: Uint32Array,
  certify: (position: number) => boolean,
): number {
  const first = signs[0]!;
  for (let w = 0; 32 * w < end; w++) {
    const [low, high] = [bits[w]!, bits[w + 1]!];
    for (let shift = 0; shift < 32; shift++) {
      const word = shift === 0 ? low : (low >>> shift) | (high << (32 - shift));
      if (ones(word ^ first) > FIRST_WRONG) continue;
      const p = 32 * w + shift;
      if (p < end && wrongOf(bits, p, signs) <= ALL_WRONG && certify(p)) return p;
    }
  }
  return -1;
}

/** Correlation of a factor, without its first weights, with the generator's next draws; advances the generator. */
export function correlationAfter(twister: Twister, weights: Drawn, without = 0): number {
  const draws = new Int16Array(weights.length - without);
  takeDraws(twister, draws);
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < draws.length; i++) {
    const [x, y] = [draws[i]!, weights[i + without]!];
    xy += x * y;
    xx += x * x;
    yy += y * y;
  }
  return yy === 0 ? 0 : xy / Math.sqrt(xx * yy);
}

function takeSigns(twister: Twister, outputs: Uint32Array, bits: Uint32Array, at: number): void {
  takeOutputs(twister, outputs);
  for (let w = 0; w < outputs.length / 32; w++) {
    let word = 0;
    for (let i = 0; i < 32; i++) word |= ((outputs[32 * w + i]! >>> 23) & 1) << i;
    bits[at + w] = word;
  }
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
