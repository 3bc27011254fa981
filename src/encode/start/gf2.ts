/**
 * Bits of a Mersenne Twister as linear functionals of one another.
 *
 * Every bit sequence of the generator satisfies one linear recurrence over GF(2), of degree 19,937. So any bit of any output is a
 * sum of some of the first 19,937 values of one reference sequence. A polynomial modulo that recurrence says which ones: output n
 * of a sequence with the polynomial c has t^n · c. An equation then costs a shift. Following the generator's state
 * symbolically would cost 19,968 bits for each of the 32 bits of every draw in between.
 *
 * A polynomial is 624 words, lowest coefficient first; the bits from {@link DEGREE} on are free (`solve.ts` puts right sides
 * there).
 *
 * @module
 */
import { seedWords, takeOutputs, twisterAt } from "../../common/mt19937.ts";

/** Degree of the recurrence. */
export const DEGREE = 19937;
/** Words of a polynomial. */
export const WORDS = 624;
const TOP = DEGREE >>> 5;
const TOP_BIT = DEGREE & 31;

/** The recurrence, and the polynomial of each bit of an output; computed once, in half a second. */
export interface Recurrence {
  /** Exponents of the recurrence except the highest, descending. */
  readonly exponents: Int32Array;
  /** The polynomial of each of the 32 bits; that of the reference bit is 1. */
  readonly bits: readonly Uint32Array[];
}

/** The bit that expresses all others: the highest of a draw. */
export const REFERENCE_BIT = 23;

let known: Recurrence | undefined;

/** The recurrence of MT19937. */
export function recurrence(): Recurrence {
  known ??= find();
  return known;
}

function find(): Recurrence {
  const outputs = new Uint32Array(2 * DEGREE + 64);
  takeOutputs(twisterAt(seedWords(1)), outputs);
  const sequence = (bit: number): Uint8Array => Uint8Array.from(outputs, (word) => (word >>> bit) & 1);
  const exponents = massey(sequence(REFERENCE_BIT));
  const inverse = invert(numerator(sequence(REFERENCE_BIT), exponents), exponents);
  const multiply = multiplier(inverse, exponents);
  const bits = Array.from({ length: 32 }, (_, bit) => multiply(numerator(sequence(bit), exponents)));
  return { exponents, bits };
}

/** Berlekamp–Massey: the exponents of the shortest recurrence of a sequence, without the degree. */
function massey(sequence: Uint8Array): Int32Array {
  const words = WORDS + 2;
  const c = new Uint32Array(words);
  let b = new Uint32Array(words);
  // Bit i of the window is the value i places back.
  const window = new Uint32Array(words);
  c[0] = b[0] = 1;
  let length = 0;
  let shift = 1;
  for (let n = 0; n < sequence.length; n++) {
    for (let w = words - 1; w > 0; w--) window[w] = (window[w]! << 1) | (window[w - 1]! >>> 31);
    window[0] = (window[0]! << 1) | sequence[n]!;
    let sum = 0;
    for (let w = 0, end = (length >>> 5) + 1; w < end; w++) sum ^= c[w]! & window[w]!;
    if (parity(sum) === 0) shift++;
    else if (2 * length <= n) {
      const before = c.slice();
      xorShifted(c, b, shift);
      length = n + 1 - length;
      b = before;
      shift = 1;
    } else xorShifted(c, b, shift++);
  }
  if (length !== DEGREE) throw new Error(`recurrence of degree ${length}`);
  const exponents: number[] = [];
  for (let i = 1; i <= DEGREE; i++) if ((c[i >>> 5]! >>> (i & 31)) & 1) exponents.push(DEGREE - i);
  return Int32Array.from(exponents);
}

/** Q such that the sequence shifted by one has t·Q; the ratio of two sequences is that of their Q. */
function numerator(sequence: Uint8Array, exponents: Int32Array): Uint32Array {
  const reversed = new Uint32Array(WORDS);
  for (let n = 0; n < DEGREE; n++)
    if (sequence[n]!) reversed[(DEGREE - 1 - n) >>> 5]! |= 1 << ((DEGREE - 1 - n) & 31);
  const sum = reversed.slice();
  for (const exponent of exponents) {
    const by = DEGREE - exponent;
    const [skip, bits] = [by >>> 5, by & 31];
    for (let w = 0; w + skip < WORDS; w++) {
      let word = reversed[w + skip]! >>> bits;
      if (bits > 0 && w + skip + 1 < WORDS) word |= reversed[w + skip + 1]! << (32 - bits);
      sum[w]! ^= word;
    }
  }
  return sum;
}

/** `a ^= b · t^shift`, without the terms beyond `a`. */
function xorShifted(a: Uint32Array, b: Uint32Array, shift: number): void {
  const [skip, bits] = [shift >>> 5, shift & 31];
  if (bits === 0) for (let w = skip; w < a.length; w++) a[w]! ^= b[w - skip]!;
  else {
    let carry = 0;
    for (let w = skip; w < a.length; w++) {
      const word = w - skip < b.length ? b[w - skip]! : 0;
      a[w]! ^= (word << bits) | carry;
      carry = word >>> (32 - bits);
    }
  }
}

/** Multiplies by t^by in place, 0 ≤ by ≤ 31. `p` has one word more than a polynomial. */
function shiftUp(p: Uint32Array, by: number, exponents: Int32Array): void {
  if (by > 0) {
    for (let w = WORDS; w > 0; w--) p[w] = (p[w]! << by) | (p[w - 1]! >>> (32 - by));
    p[0]! <<= by;
  }
  for (let j = by - 1; j >= 0; j--) {
    const at = DEGREE + j;
    if (((p[at >>> 5]! >>> (at & 31)) & 1) === 0) continue;
    p[at >>> 5]! ^= 1 << (at & 31);
    for (const exponent of exponents) p[(exponent + j) >>> 5]! ^= 1 << ((exponent + j) & 31);
  }
}

/** Multiplies by `b` modulo the recurrence, one byte at a time, with a table of its products with all 256 byte polynomials. */
function multiplier(b: Uint32Array, exponents: Int32Array): (a: Uint32Array) => Uint32Array {
  const products = [new Uint32Array(WORDS + 1), new Uint32Array(WORDS + 1)];
  products[1]!.set(b);
  for (let i = 2; i < 256; i++) {
    const product = products[i >>> 1]!.slice();
    shiftUp(product, 1, exponents);
    if (i & 1) add(product, b);
    products.push(product);
  }
  return (a) => {
    const product = new Uint32Array(WORDS + 1);
    for (let w = TOP; w >= 0; w--)
      for (let bit = 24; bit >= 0; bit -= 8) {
        shiftUp(product, 8, exponents);
        add(product, products[(a[w]! >>> bit) & 255]!);
      }
    return product.slice(0, WORDS);
  };
}

function add(a: Uint32Array, b: Uint32Array): void {
  for (let i = 0; i < WORDS; i++) a[i]! ^= b[i]!;
}

/** The inverse modulo the recurrence, which is irreducible (extended Euclid). */
function invert(a: Uint32Array, exponents: Int32Array): Uint32Array {
  const words = WORDS + 1;
  let r = new Uint32Array(words);
  let s = new Uint32Array(words);
  r[TOP]! |= 1 << TOP_BIT;
  for (const exponent of exponents) r[exponent >>> 5]! ^= 1 << (exponent & 31);
  s.set(a);
  let u = new Uint32Array(words);
  let v = new Uint32Array(words);
  v[0] = 1;
  let [degreeR, degreeS] = [degree(r), degree(s)];
  while (degreeS > 0) {
    if (degreeR < degreeS) {
      [r, s, u, v] = [s, r, v, u];
      [degreeR, degreeS] = [degreeS, degreeR];
    }
    xorShifted(r, s, degreeR - degreeS);
    xorShifted(u, v, degreeR - degreeS);
    degreeR = degree(r, degreeR);
    if (degreeR < degreeS) {
      [r, s, u, v] = [s, r, v, u];
      [degreeR, degreeS] = [degreeS, degreeR];
    }
  }
  return v.slice(0, WORDS);
}

function degree(p: Uint32Array, below = 32 * p.length - 1): number {
  for (let w = below >>> 5; w >= 0; w--) if (p[w]! !== 0) return 32 * w + 31 - Math.clz32(p[w]!);
  return -1;
}

/** 1 if the number of ones is odd. */
export function parity(word: number): number {
  let x = word ^ (word >>> 16);
  x ^= x >>> 8;
  x ^= x >>> 4;
  return (0x6996 >>> (x & 15)) & 1;
}

/** Steps the functionals of some bits along the outputs. */
export interface Functionals {
  /** Writes the functional of `bit` of output `n` to `row` at `at`. Calls must have ascending `n`. */
  write(n: number, bit: number, row: Uint32Array, at: number): void;
}

/** Functionals of a generator's outputs, in terms of the first 19,937 values of its reference bit. */
export function functionals(): Functionals {
  const { exponents, bits } = recurrence();
  const walks = new Map<number, { at: number; polynomial: Uint32Array }>();
  const own = new Uint32Array(WORDS + 1);
  return {
    write(n, bit, row, at) {
      let walk = walks.get(bit);
      if (walk === undefined) {
        const polynomial = new Uint32Array(WORDS + 1);
        polynomial.set(bits[bit]!);
        walks.set(bit, (walk = { at: 0, polynomial }));
      }
      while (walk.at + 31 <= n) {
        shiftUp(walk.polynomial, 31, exponents);
        walk.at += 31;
      }
      own.set(walk.polynomial);
      shiftUp(own, n - walk.at, exponents);
      row.set(own.subarray(0, WORDS), at);
    },
  };
}
