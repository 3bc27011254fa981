/**
 * Solves for the stream of a generator from known bits of its outputs and their positions (`gf2.ts`).
 *
 * More equations than unknowns certify the solution: if the bits have another origin, half of the surplus equations contradict
 * it.
 *
 * @module
 */
import { STATE_WORDS } from "../../common/mt19937.ts";
import { bitMatrix } from "./eliminate.ts";
import { DEGREE, functionals, parity, WORDS } from "./gf2.ts";

/** Bit `bit` of output `n` is `value`. */
export interface Equation {
  readonly n: number;
  readonly bit: number;
  readonly value: number;
}

/** The solutions of a system, and their reliability. */
export interface Solutions {
  /** For each solution, the words of the first 624 outputs. Bits that are always equal leave several. */
  readonly words: readonly Uint32Array[];
  /** Number of surplus equations; `contradicted`: of those that contradict the solution. */
  readonly surplus: number;
  readonly contradicted: number;
}

/** Word and bit of the right side in a row. */
const RIGHT_WORD = DEGREE >>> 5;
const RIGHT = 1 << ((DEGREE & 31) + 1);
/** Most unknowns that may stay free. */
const MOST_FREE = 4;

/**
 * Solves the system; undefined if there are not enough equations.
 *
 * Weights near the ends of the distribution show several leading bits that are all equal. So the generator whose first bits are
 * the second bits of the correct one fits them, too. A few unknowns may stay free, and every choice of them is a solution.
 *
 * @param equations by ascending `n`
 */
export function solve(equations: readonly Equation[]): Solutions | undefined {
  const count = equations.length;
  const { rows, eliminate } = bitMatrix(count, WORDS);
  const walk = functionals();
  equations.forEach(({ n, bit, value }, i) => {
    walk.write(n, bit, rows, i * WORDS);
    if (value === 1) rows[i * WORDS + RIGHT_WORD]! ^= RIGHT;
  });
  const pivots = eliminate(DEGREE);
  const free = DEGREE - pivots.length;
  if (free > MOST_FREE) return undefined;
  const right = (i: number): number => ((rows[i * WORDS + RIGHT_WORD]! & RIGHT) !== 0 ? 1 : 0);
  let contradicted = 0;
  for (let i = pivots.length; i < count; i++) contradicted += right(i);
  const bound = new Set(pivots);
  const open = Array.from({ length: DEGREE }, (_, column) => column).filter((column) => !bound.has(column));
  const words = Array.from({ length: 1 << free }, (_, choice) => {
    const unknowns = new Uint32Array(WORDS);
    open.forEach((column, i) => {
      if ((choice >>> i) & 1) unknowns[column >>> 5]! |= 1 << (column & 31);
    });
    for (let i = pivots.length - 1; i >= 0; i--) {
      let sum = 0;
      for (let w = 0; w < WORDS; w++) sum ^= rows[i * WORDS + w]! & unknowns[w]!;
      if (parity(sum) !== right(i)) unknowns[pivots[i]! >>> 5]! |= 1 << (pivots[i]! & 31);
    }
    return wordsOf(unknowns);
  });
  return { words, surplus: count - pivots.length, contradicted };
}

/** The state words whose outputs have these values of the reference bit. */
function wordsOf(unknowns: Uint32Array): Uint32Array {
  const outputs = new Uint32Array(STATE_WORDS);
  const walk = functionals();
  const row = new Uint32Array(WORDS);
  for (let n = 0; n < STATE_WORDS; n++)
    for (let bit = 0; bit < 32; bit++) {
      walk.write(n, bit, row, 0);
      let sum = 0;
      for (let w = 0; w < WORDS; w++) sum ^= row[w]! & unknowns[w]!;
      outputs[n]! |= parity(sum) << bit;
    }
  return outputs.map(untemper);
}

/** The state word with this output. Tempering is linear, so its inverse is the sum of the words of its bits. */
function untemper(output: number): number {
  let word = output ^ (output >>> 18);
  word ^= (word << 15) & 0xefc60000;
  let y = word;
  for (let i = 0; i < 4; i++) y = word ^ ((y << 7) & 0x9d2c5680);
  let x = y;
  for (let i = 0; i < 2; i++) x = y ^ (x >>> 11);
  return x;
}
