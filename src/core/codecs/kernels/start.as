// Starts (spec clause 8.8) in AssemblyScript with 128-bit SIMD: the generator of ../start/mt19937.ts and the mixing of
// ../start/mixture.ts, with the same bits. Built by src/common/wasm/build.mjs.

const STATE: i32 = 624;
const MIDDLE: i32 = 397;
const MATRIX: u32 = 0x9908b0df;

// @ts-ignore: decorator
@inline
function wordAt(words: usize, i: i32): u32 {
  return load<u32>(words + 4 * <usize>i);
}

// @ts-ignore: decorator
@inline
function twistOne(words: usize, i: i32, after: i32, middle: i32): void {
  const y: u32 = (wordAt(words, i) & 0x80000000) | (wordAt(words, after) & 0x7fffffff);
  store<u32>(words + 4 * <usize>i, wordAt(words, middle) ^ (y >> 1) ^ (<u32>(-<i32>(y & 1)) & MATRIX));
}

/** Four new words, from the old ones, the ones 1 place after them, and those 397 places after them. */
// @ts-ignore: decorator
@inline
function twisted(old: v128, after: v128, middle: v128): v128 {
  const y = v128.bitselect(old, after, i32x4.splat(0x80000000));
  const odd = v128.and(i32x4.shr_s(i32x4.shl(after, 31), 31), i32x4.splat(MATRIX));
  return v128.xor(v128.xor(middle, i32x4.shr_u(y, 1)), odd);
}

/** Replaces 16 words. */
// @ts-ignore: decorator
@inline
function twistSixteen(at: usize, middle: usize): void {
  v128.store(at, twisted(v128.load(at, 0), v128.load(at, 4), v128.load(middle, 0)), 0);
  v128.store(at, twisted(v128.load(at, 16), v128.load(at, 20), v128.load(middle, 16)), 16);
  v128.store(at, twisted(v128.load(at, 32), v128.load(at, 36), v128.load(middle, 32)), 32);
  v128.store(at, twisted(v128.load(at, 48), v128.load(at, 52), v128.load(middle, 48)), 48);
}

/** Replaces the words of a block by those `blocks` blocks later. */
export function advance(words: usize, blocks: i32): void {
  for (let block = 0; block < blocks; block++) {
    // Words 0 to 226 need words of this block, 227 to 622 new ones; 224 = 14 · 16 and 611 = 227 + 24 · 16.
    let at = words;
    for (; at < words + 4 * 224; at += 64) twistSixteen(at, at + 4 * MIDDLE);
    for (let i = 224; i < STATE - MIDDLE; i++) twistOne(words, i, i + 1, i + MIDDLE);
    at = words + 4 * (STATE - MIDDLE);
    for (; at < words + 4 * 611; at += 64) twistSixteen(at, at - 4 * (STATE - MIDDLE));
    for (; at < words + 4 * (STATE - 1); at += 16) v128.store(at, twisted(v128.load(at), v128.load(at, 4), v128.load(at - 4 * (STATE - MIDDLE))));
    twistOne(words, STATE - 1, 0, MIDDLE - 1);
  }
}

function draw(word: u32): i32 {
  let y = word ^ (word >> 11);
  y ^= (y << 7) & 0x9d2c5680;
  y ^= (y << 15) & 0xefc60000;
  return <i32>(((y ^ (y >> 18)) >> 8) ^ 0x8000);
}

// @ts-ignore: decorator
@inline
function tempered(word: v128): v128 {
  let y = v128.xor(word, i32x4.shr_u(word, 11));
  y = v128.xor(y, v128.and(i32x4.shl(y, 7), i32x4.splat(0x9d2c5680)));
  y = v128.xor(y, v128.and(i32x4.shl(y, 15), i32x4.splat(0xefc60000)));
  return v128.xor(y, i32x4.shr_u(y, 18));
}

// @ts-ignore: decorator
@inline
function drawEight(low: v128, high: v128): v128 {
  const taken = v128.shuffle<u8>(
    tempered(low), tempered(high),
    1, 2, 5, 6, 9, 10, 13, 14, 17, 18, 21, 22, 25, 26, 29, 30,
  );
  return v128.xor(taken, i16x8.splat(<i16>0x8000));
}

/**
 * Writes draws as 16-bit integers.
 *
 * @param next number of the next word of the block
 * @returns the number of the next word after these draws
 */
export function draws(words: usize, next: i32, count: i32, to: usize): i32 {
  const end = to + 2 * <usize>count;
  while (to < end) {
    if (next == STATE) {
      advance(words, 1);
      next = 0;
    }
    const own = min(STATE - next, <i32>((end - to) >> 1));
    let at = words + 4 * <usize>next;
    const last = at + 4 * <usize>own;
    for (; at + 64 <= last; at += 64, to += 32) {
      v128.store(to, drawEight(v128.load(at), v128.load(at, 16)));
      v128.store(to, drawEight(v128.load(at, 32), v128.load(at, 48)), 16);
    }
    for (; at < last; at += 4, to += 2) store<u16>(to, <u16>draw(load<u32>(at)));
    next += own;
  }
  return next;
}

/** Adds four sums times a scale to four values. */
// @ts-ignore: decorator
@inline
function addFour(sums: v128, scale: v128, at: usize): void {
  const values = v128.load(at);
  const high = v128.shuffle<u32>(sums, sums, 2, 3, 2, 3);
  const more = v128.shuffle<u32>(values, values, 2, 3, 2, 3);
  const a = f64x2.add(f64x2.promote_low_f32x4(values), f64x2.mul(f64x2.convert_low_i32x4_s(sums), scale));
  const b = f64x2.add(f64x2.promote_low_f32x4(more), f64x2.mul(f64x2.convert_low_i32x4_s(high), scale));
  v128.store(
    at,
    v128.shuffle<u32>(f32x4.demote_f64x2_zero(a), f32x4.demote_f64x2_zero(b), 0, 1, 4, 5),
  );
}

/** Writes 0 plus four sums times a scale, both exact in binary32. A product that is not 0 is no smaller than 2^-148. */
// @ts-ignore: decorator
@inline
function putFour(sums: v128, scale: v128, at: usize): void {
  v128.store(at, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(sums), scale), f32x4.splat(0)));
}

/** Adds eight sums times a scale to eight values, or writes them. */
// @ts-ignore: decorator
@inline
function finish(low: v128, high: v128, scale: usize, at: usize, add: bool): void {
  const wide = v128.load64_splat(scale);
  if (add) {
    addFour(low, wide, at);
    addFour(high, wide, at + 16);
  } else {
    const narrow = f32x4.splat(<f32>load<f64>(scale));
    putFour(low, narrow, at);
    putFour(high, narrow, at + 16);
  }
}

/**
 * Adds mixed draws to a tile of values.
 *
 * @param from the first draw of the tile; the next row of the start is `apart` bytes on. Reads up to eight draws behind the last
 * @param factors integers, i16 `[rows / 4][pairs of rows of the start][4][2]`
 * @param scales f64, one for each row
 * @param rows number of rows of values, a multiple of 4
 * @param added number of the first rows that have values; the others are written as if their values were 0
 * @param values binary32, `[rows][stride bytes]`; each row has room for a multiple of 8
 * @param pairs work area, 32 bytes for each pair of rows of the start
 */
export function mix(
  from: usize, apart: usize, rank: i32, factors: usize, scales: usize, rows: i32, added: i32,
  values: usize, stride: usize, count: i32, pairs: usize,
): void {
  const end = pairs + 32 * <usize>((rank + 1) >> 1);
  for (let i = 0; i < count; i += 8) {
    let row = from + 2 * <usize>i;
    for (let k = 0, to = pairs; to < end; to += 32, k += 2) {
      const one = v128.load(row);
      // If the rank is odd, the last row has no partner: its factor is 0.
      const other = k + 1 < rank ? v128.load(row + apart) : one;
      v128.store(to, v128.shuffle<u16>(one, other, 0, 8, 1, 9, 2, 10, 3, 11));
      v128.store(to + 16, v128.shuffle<u16>(one, other, 4, 12, 5, 13, 6, 14, 7, 15));
      row += 2 * apart;
    }
    let factor = factors;
    let at = values + 4 * <usize>i;
    for (let c = 0; c < rows; c += 4) {
      let a = i32x4.splat(0), a1 = i32x4.splat(0), b = i32x4.splat(0), b1 = i32x4.splat(0);
      let d = i32x4.splat(0), d1 = i32x4.splat(0), e = i32x4.splat(0), e1 = i32x4.splat(0);
      for (let pair = pairs; pair < end; pair += 32) {
        const low = v128.load(pair), high = v128.load(pair + 16);
        const fa = v128.load32_splat(factor), fb = v128.load32_splat(factor + 4);
        const fd = v128.load32_splat(factor + 8), fe = v128.load32_splat(factor + 12);
        a = i32x4.add(a, i32x4.dot_i16x8_s(low, fa));
        a1 = i32x4.add(a1, i32x4.dot_i16x8_s(high, fa));
        b = i32x4.add(b, i32x4.dot_i16x8_s(low, fb));
        b1 = i32x4.add(b1, i32x4.dot_i16x8_s(high, fb));
        d = i32x4.add(d, i32x4.dot_i16x8_s(low, fd));
        d1 = i32x4.add(d1, i32x4.dot_i16x8_s(high, fd));
        e = i32x4.add(e, i32x4.dot_i16x8_s(low, fe));
        e1 = i32x4.add(e1, i32x4.dot_i16x8_s(high, fe));
        factor += 16;
      }
      const scale = scales + 8 * <usize>c;
      finish(a, a1, scale, at, c < added);
      finish(b, b1, scale + 8, at + stride, c + 1 < added);
      finish(d, d1, scale + 16, at + 2 * stride, c + 2 < added);
      finish(e, e1, scale + 24, at + 3 * stride, c + 3 < added);
      at += 4 * stride;
    }
  }
}
