/**
 * The generator of known starts: MT19937, the 32-bit Mersenne Twister, as torch has it on a CPU.
 *
 * A draw is bits 8 to 23 of an output, less 2^15: an integer from −2^15 to 2^15 − 1. torch makes its uniform binary32 numbers
 * from the lower 24 bits. The lowest 8 of them matter less than the quantization error, and SIMD multiplies 16-bit numbers
 * fastest.
 *
 * @module
 */

/** Words of a state of MT19937. */
export const STATE_WORDS = 624;

const MIDDLE = 397;
const MATRIX = 0x9908b0df;
const SEEDING = 1812433253;

/** A generator at a position of its stream. */
export interface Twister {
  /** Words of the block that the next draw belongs to. */
  readonly words: Uint32Array;
  /** Number of the next word; `STATE_WORDS` if the generator must make the next block first. */
  next: number;
}

/** The state of a seed: the 624 words before the first draw. */
export function seedWords(seed: number): Uint32Array {
  const words = new Uint32Array(STATE_WORDS);
  words[0] = seed;
  for (let i = 1; i < STATE_WORDS; i++) words[i] = nextSeedWord(words[i - 1]!, i);
  return words;
}

/** Word `i` of a seeded state, from the word before it. */
export function nextSeedWord(before: number, i: number): number {
  return (Math.imul(SEEDING, before ^ (before >>> 30)) + i) >>> 0;
}

/** An equal generator whose words nobody else has. */
export function ownTwister({ words, next }: Twister): Twister {
  return { words: words.slice(), next };
}

/** A generator that has drawn nothing yet. */
export function twisterAt(state: Uint32Array): Twister {
  return { words: state.slice(), next: STATE_WORDS };
}

/** Skips draws. */
export function skipDraws(twister: Twister, count: number): void {
  let left = count;
  while (left > STATE_WORDS - twister.next) {
    left -= STATE_WORDS - twister.next;
    begin(twister);
  }
  twister.next += left;
}

/** Fills an array with draws. */
export function takeDraws(twister: Twister, draws: Int16Array): void {
  take(twister, draws.length, (at, word) => {
    draws[at] = (temper(word) >>> 8) ^ 0x8000;
  });
}

/** Fills an array with outputs, 32 bits each. */
export function takeOutputs(twister: Twister, outputs: Uint32Array): void {
  take(twister, outputs.length, (at, word) => {
    outputs[at] = temper(word);
  });
}

/** Fills an array with the signs of draws, 32 per word from its lowest bit; 1 is positive. */
export function takeSigns(twister: Twister, signs: Uint32Array): void {
  const { words } = twister;
  for (let w = 0; w < signs.length; w++) {
    let sign = 0;
    for (let i = 0; i < 32; i++) {
      if (twister.next === STATE_WORDS) begin(twister);
      const word = words[twister.next++]!;
      // Bit 23 of the output.
      sign = (sign >>> 1) | (((word << 8) ^ (word << 12) ^ (word << 23)) & 0x80000000);
    }
    signs[w] = sign;
  }
}

function take(twister: Twister, count: number, use: (at: number, word: number) => void): void {
  const { words } = twister;
  for (let at = 0; at < count; ) {
    if (twister.next === STATE_WORDS) begin(twister);
    const own = Math.min(count - at, STATE_WORDS - twister.next);
    for (let i = 0, from = twister.next; i < own; i++) use(at + i, words[from + i]!);
    at += own;
    twister.next += own;
  }
}

/** The output of a word. */
export function temper(word: number): number {
  let y = word ^ (word >>> 11);
  y ^= (y << 7) & 0x9d2c5680;
  y ^= (y << 15) & 0xefc60000;
  return y ^ (y >>> 18);
}

/** The new word in the place of `word`; `after` is the next old word, `middle` the word 397 places on. */
export function twist(word: number, after: number, middle: number): number {
  const y = (word & 0x80000000) | (after & 0x7fffffff);
  return middle ^ (y >>> 1) ^ (-(y & 1) & MATRIX);
}

function begin(twister: Twister): void {
  nextBlock(twister.words);
  twister.next = 0;
}

/** Replaces the words of a block, or of a state, by those of the next block. */
export function nextBlock(words: Uint32Array): void {
  const last = STATE_WORDS - 1;
  for (let i = 0; i < STATE_WORDS - MIDDLE; i++)
    words[i] = twist(words[i]!, words[i + 1]!, words[i + MIDDLE]!);
  for (let i = STATE_WORDS - MIDDLE; i < last; i++)
    words[i] = twist(words[i]!, words[i + 1]!, words[i + MIDDLE - STATE_WORDS]!);
  words[last] = twist(words[last]!, words[0]!, words[MIDDLE - 1]!);
}
