// Decodes tiles of up to 1024 weights of one vector, from packed codes to binary32 or binary16, with the bits of the
// reference decoders. It needs scales that are finite and, for binary16, not negative and so small that nothing overflows;
// tile() returns false for others. The kernels that decode and that apply share this file; it is no kernel itself.
//
// There are two stages, so that code grows with the sum of codecs and outputs, not with their product. expand.as turns the codes
// of a tile into bytes (for a trellis it takes the weights of several windows at once from a table of two to four steps).
// finish turns bytes into integers, and integers times the scale into weights. A tile's bytes stay in the first cache. Signs
// skip it: finish reads their bits.
//
// The code does not use relaxed SIMD, whose results may differ between machines.

import { expandCodes, expandTrellis } from "./expand";

// Fixed places, below 0x12400, in the memory of each kernel; expand.as has one at 0.
export const TAIL: usize = 64; // eight or sixteen weights, of which the target takes fewer
export const BYTES: usize = 0x11e00; // a tile's codes, or a trellis' integers
export const SCALES: usize = 0x11c00; // scales of the groups of a tile in binary32, times 4 if the output is binary16
const FIRSTS: usize = 0x11d00; // zero points z of these groups: 2^23 + z in binary32, or the integer −z for binary16
export const TILE: i32 = 1024;

// Kinds of tile(), as `kindNumber` of ../../encoding.ts numbers them.
export const ZERO: i32 = 0;
export const RAW: i32 = 1;
export const SIGN: i32 = 2;
export const AFFINE: i32 = 3;
export const TRELLIS: i32 = 4;
export const INTEGERS: i32 = 5;

// Float types.
export const F32: i32 = 0;
export const F16: i32 = 1;
// ---- finish -----------------------------------------------------------------------------------------------------

// Inputs of finish(): integers in bytes; integers in 16 bits; codes, to which it adds an integer.
export const SMALL: i32 = 0;
const LARGE: i32 = 1;
const CODES: i32 = 2;

/**
 * Turns four times |x| (not above 4 · 65504) into the bits of binary16 in the low half of each lane, rounded to nearest even:
 * adding the power of two whose last place is the last place of |x| in binary16 rounds. The low half of the sum is then the
 * significand with its leading one, the high half 128 times the exponent.
 */
// @ts-ignore: decorator
@inline
export function roundHalf(x: v128): v128 {
  const exponent = i32x4.max_s(v128.and(x, i32x4.splat(0x7f800000)), i32x4.splat(0x39800000));
  const sum = f32x4.add(x, i32x4.add(exponent, i32x4.splat(0x06800000)));
  return i32x4.dot_i16x8_s(sum, i32x4.splat(0x00080001));
}

/** Eight integers times a quarter of `scale`, which is not negative, in binary16. It rounds even and odd lanes apart. */
// @ts-ignore: decorator
@inline
function halves(n: v128, scale: v128): v128 {
  const magnitude = i16x8.abs(n);
  const even = roundHalf(f32x4.mul(f32x4.convert_i32x4_s(v128.and(magnitude, i32x4.splat(0xffff))), scale));
  const odd = roundHalf(f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_u(magnitude, 16)), scale));
  return v128.or(evenOdd(even, odd), v128.and(n, i16x8.splat(-32768)));
}

/** The low halves of the lanes of both, interleaved. */
// @ts-ignore: decorator
@inline
export function evenOdd(even: v128, odd: v128): v128 {
  return i16x8.shuffle(even, i32x4.shl(odd, 16), 0, 9, 2, 11, 4, 13, 6, 15);
}

// @ts-ignore: decorator
@inline
function integers(mode: i32, at: usize, first: v128): v128 {
  if (mode == LARGE) return v128.load(at);
  if (mode == SMALL) return v128.load8x8_s(at);
  return i16x8.add(v128.load8x8_u(at), first);
}

/** Multiplies eight integers by the scale, and stores eight weights. */
// @ts-ignore: decorator
@inline
function put(wide: bool, n: v128, scale: v128, to: usize): void {
  if (wide) {
    v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(n)), scale));
    v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(n)), scale), 16);
  } else v128.store(to, halves(n, scale));
}

/** Weights with one scale: (x + first) · scale. For binary16 the caller passes four times the scale. */
// @ts-ignore: decorator
@inline
export function finish(mode: i32, wide: bool, from: usize, count: i32, first: v128, scale: v128, to: usize): void {
  const size: usize = wide ? 4 : 2;
  const width: usize = mode == LARGE ? 16 : 8;
  for (; count >= 16; count -= 16) {
    put(wide, integers(mode, from, first), scale, to);
    put(wide, integers(mode, from + width, first), scale, to + 8 * size);
    from += 2 * width;
    to += 16 * size;
  }
  if (count >= 8) {
    put(wide, integers(mode, from, first), scale, to);
    from += width;
    to += 8 * size;
    count -= 8;
  }
  if (count > 0) {
    put(wide, integers(mode, from, first), scale, TAIL);
    memory.copy(to, TAIL, <usize>count * size);
  }
}

/** Finishes a tile of integers, group by group. */
// @ts-ignore: decorator
@inline
function finishIntegers(mode: i32, wide: bool, from: usize, count: i32, group: i32, to: usize): void {
  const none = i32x4.splat(0);
  let scales = SCALES;
  for (; count > 0; count -= group) {
    finish(mode, wide, from, min(group, count), none, v128.load32_splat(scales), to);
    scales += 4;
    from += <usize>group << (mode == LARGE ? 1 : 0);
    to += <usize>group << (wide ? 2 : 1);
  }
}

/**
 * Finishes a tile of the codec `sign` to binary16: the scale, with each bit as its sign. A byte of bits is eight weights; a
 * product moves the bit of each to the top of 16. Expanding the bits to bytes first took 1.5 times as long.
 */
function finishSignsHalf(from: usize, count: i32, group: i32, to: usize): void {
  const up = i16x8(128, 64, 32, 16, 8, 4, 2, 1);
  const sign = i16x8.splat(-32768);
  let scales = SCALES;
  for (; count > 0; count -= group) {
    const rounded = roundHalf(v128.load32_splat(scales));
    const scale = i16x8.shuffle(rounded, rounded, 0, 0, 0, 0, 0, 0, 0, 0);
    let left = min(group, count);
    for (; left >= 16; left -= 16) {
      v128.store(to, v128.or(v128.and(i16x8.mul(v128.load8_splat(from), up), sign), scale));
      v128.store(to, v128.or(v128.and(i16x8.mul(v128.load8_splat(from, 1), up), sign), scale), 16);
      from += 2;
      to += 32;
    }
    for (; left > 0; left -= 8) {
      v128.store(TAIL, v128.or(v128.and(i16x8.mul(v128.load8_splat(from), up), sign), scale));
      const n = <usize>min(left, 8);
      memory.copy(to, TAIL, 2 * n);
      from++;
      to += 2 * n;
    }
    scales += 4;
  }
}

/** Finishes a tile of the codec `sign` to binary32. */
function finishSigns(from: usize, count: i32, group: i32, to: usize): void {
  let scales = SCALES;
  for (; count > 0; count -= group) {
    const scale = v128.load32_splat(scales);
    let left = min(group, count);
    for (; left >= 8; left -= 8) {
      putSigns(from, scale, to);
      from++;
      to += 32;
    }
    if (left > 0) {
      putSigns(from, scale, TAIL);
      memory.copy(to, TAIL, 4 * <usize>left);
    }
    scales += 4;
  }
}

// @ts-ignore: decorator
@inline
function putSigns(from: usize, scale: v128, to: usize): void {
  const moved = i16x8.mul(v128.load8_splat(from), i16x8(128, 64, 32, 16, 8, 4, 2, 1));
  const sign = i32x4.splat(0x80000000);
  // Shuffled with itself: with zeros this is 7 % faster in V8, but half as fast in JavaScriptCore.
  v128.store(to, v128.xor(v128.and(i16x8.shuffle(moved, moved, 0, 0, 1, 1, 2, 2, 3, 3), sign), scale));
  v128.store(to, v128.xor(v128.and(i16x8.shuffle(moved, moved, 4, 4, 5, 5, 6, 6, 7, 7), sign), scale), 16);
}

/** Finishes a tile of codes of any width to binary16. */
function finishCodesHalf(from: usize, count: i32, group: i32, to: usize): void {
  let at: usize = 0;
  for (; count > 0; count -= group) {
    const first = v128.load16_splat(FIRSTS + at);
    finish(CODES, false, from, min(group, count), first, v128.load32_splat(SCALES + at), to);
    at += 4;
    from += <usize>group;
    to += 2 * <usize>group;
  }
}

/** Finishes a tile of codes below 4, 8 or 16 (`codes`) to binary16: it looks up both bytes of each weight. */
// @ts-ignore: decorator
@inline
function finishTable(codes: i32, from: usize, count: i32, group: i32, to: usize): void {
  const a = codes == 4 ? i32x4(0, 1, 2, 3) : i16x8(0, 1, 2, 3, 4, 5, 6, 7);
  const b = i16x8(8, 9, 10, 11, 12, 13, 14, 15);
  let groups: usize = 0;
  for (; count > 0; count -= group) {
    const scale = v128.load32_splat(SCALES + groups);
    let low: v128, high: v128;
    if (codes == 4) {
      const n = i32x4.add(a, v128.load32_splat(FIRSTS + groups));
      const magnitude = roundHalf(f32x4.mul(f32x4.convert_i32x4_s(i32x4.abs(n)), scale));
      const x = v128.or(magnitude, v128.and(n, i32x4.splat(0x8000)));
      low = i8x16.shuffle(x, x, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
      high = i8x16.shuffle(x, x, 1, 5, 9, 13, 1, 5, 9, 13, 1, 5, 9, 13, 1, 5, 9, 13);
    } else {
      const first = v128.load16_splat(FIRSTS + groups);
      const x = halves(i16x8.add(a, first), scale);
      const y = codes == 8 ? x : halves(i16x8.add(b, first), scale);
      low = i8x16.shuffle(x, y, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
      high = i8x16.shuffle(x, y, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    }
    const end = from + <usize>min(group, count);
    for (; from + 16 <= end; from += 16) {
      lookBytes(low, high, from, to);
      to += 32;
    }
    if (from < end) {
      lookBytes(low, high, from, TAIL);
      memory.copy(to, TAIL, 2 * (end - from));
    }
    groups += 4;
  }
}

/** Looks up sixteen codes. */
// @ts-ignore: decorator
@inline
function lookBytes(low: v128, high: v128, from: usize, to: usize): void {
  const q = v128.load(from);
  const x = i8x16.swizzle(low, q);
  const y = i8x16.swizzle(high, q);
  v128.store(to, i8x16.shuffle(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
  v128.store(to, i8x16.shuffle(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), 16);
}

/**
 * Finishes a tile of codes to binary32: (q − first) · scale. The low bits of the number 2^23 + q are q, so no conversion is
 * necessary, and the difference is exact.
 */
// @ts-ignore: decorator
@inline
function finishCodes(from: usize, count: i32, group: i32, to: usize): void {
  let groups: usize = 0;
  for (; count > 0; count -= group) {
    const first = v128.load32_splat(FIRSTS + groups);
    const scale = v128.load32_splat(SCALES + groups);
    const end = from + <usize>min(group, count);
    for (; from + 16 <= end; from += 16) {
      putCodes(from, first, scale, to);
      to += 64;
    }
    if (from < end) {
      putCodes(from, first, scale, TAIL);
      memory.copy(to, TAIL, 4 * (end - from));
    }
    groups += 4;
  }
}

/** Finishes sixteen codes. */
// @ts-ignore: decorator
@inline
function putCodes(from: usize, first: v128, scale: v128, to: usize): void {
  const q = v128.load(from);
  const zero = i32x4.splat(0);
  const high = i16x8.splat(0x4b00);
  const a = i8x16.shuffle(q, zero, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const b = i8x16.shuffle(q, zero, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  v128.store(to, f32x4.mul(f32x4.sub(i16x8.shuffle(a, high, 0, 8, 1, 9, 2, 10, 3, 11), first), scale));
  v128.store(to, f32x4.mul(f32x4.sub(i16x8.shuffle(a, high, 4, 12, 5, 13, 6, 14, 7, 15), first), scale), 16);
  v128.store(to, f32x4.mul(f32x4.sub(i16x8.shuffle(b, high, 0, 8, 1, 9, 2, 10, 3, 11), first), scale), 32);
  v128.store(to, f32x4.mul(f32x4.sub(i16x8.shuffle(b, high, 4, 12, 5, 13, 6, 14, 7, 15), first), scale), 48);
}

// ---- scales -----------------------------------------------------------------------------------------------------

/** Scale number `index` as binary32 bits. */
// @ts-ignore: decorator
@inline
function scaleBits(type: i32, scales: usize, index: i32): u32 {
  const bits = <u32>load<u16>(scales + 2 * <usize>index);
  if (type != F16) return bits << 16;
  const sign = (bits & 0x8000) << 16;
  const magnitude = bits & 0x7fff;
  if (magnitude < 0x400) return sign | reinterpret<u32>(<f32>magnitude * <f32>5.9604644775390625e-8);
  return sign | ((magnitude << 13) + (magnitude < 0x7c00 ? 0x38000000 : 0x70000000));
}

/**
 * Fills SCALES and FIRSTS for `count` groups from number `group` on.
 *
 * @param limit largest integer that a scale multiplies; its product must not overflow binary16
 * @returns false if a scale is for the plain decoder
 */
export function prepareGroups(kind: i32, bits: i32, type: i32, wide: bool, scales: usize, zeros: usize, group: i32, count: i32, limit: f32): bool {
  // Accepts scales that are finite, or for binary16 not negative and not too large, by one unsigned comparison of bits.
  const mask: u32 = wide ? 0x7fffffff : 0xffffffff;
  const most: u32 = wide ? 0x7f7fffff : reinterpret<u32>(<f32>65000 / limit);
  let fine = true;
  for (let g = 0; g < count; g++) {
    const scale = scaleBits(type, scales, group + g);
    fine = fine && (scale & mask) <= most;
    const at = 4 * <usize>g;
    if (wide) store<u32>(SCALES + at, scale);
    else store<f32>(SCALES + at, 4 * reinterpret<f32>(scale));
  }
  if (kind != AFFINE) return fine;
  const codes = (1 << bits) - 1;
  for (let g = 0; g < count; g++) {
    const bit = (group + g) * bits;
    const first = (<i32>load<u16>(zeros + <usize>(bit >> 3)) >> (bit & 7)) & codes;
    const at = 4 * <usize>g;
    if (wide) store<f32>(FIRSTS + at, <f32>(first + 8388608));
    else store<i32>(FIRSTS + at, -first);
  }
  return fine;
}

// ---- the whole --------------------------------------------------------------------------------------------------

/** The byte where the codes of weight `from` begin. */
// @ts-ignore: decorator
@inline
export function codesAt(table: i32, source: usize, from: i32): usize {
  // The weights of a step divide every tile, and the steps of a tile fill whole bytes.
  const steps = table == 1 || table == 3 ? from >> 1 : from;
  const k = table <= 2 ? 1 : table == 4 ? 2 : table == 6 ? 4 : 3;
  return source + <usize>((steps * k) >> 3);
}

/** The integers of a tile of a trellis, a byte each. Arguments as for {@link tile}. */
export function trellisBytes(table: i32, lut: usize, source: usize, fresh: bool, from: i32, count: i32, to: usize): void {
  // The byte before may belong to the scales, which have been read already.
  const before = source - 1;
  const held = load<u8>(before);
  if (fresh) store<u8>(before, 0);
  expandTrellis(table, lut, codesAt(table, source, from), count, to);
  store<u8>(before, held);
}

/**
 * Decodes weights from … from + count − 1 of one vector, at most a tile. `from` is a multiple of 1024; weight 0 begins at
 * `source`.
 *
 * `bits` is the bits of codes, or the number of a trellis table. The bit string of a trellis begins here if `fresh`;
 * otherwise it continues from the byte before. Reads up to 32 bytes behind planes, and the byte before codes. Returns false
 * if a scale is for the plain decoder.
 */
export function tile(
  kind: i32, bits: i32, scaleType: i32, wide: bool,
  source: usize, lut: usize, scales: usize, zeros: usize, group: i32,
  fresh: bool, from: i32, count: i32, to: usize,
): bool {
  const limit: f32 = kind == TRELLIS ? 127 : kind == INTEGERS ? 8128 : <f32>((1 << bits) - 1);
  const each = group == 0 ? TILE : min(group, TILE);
  const first = group == 0 ? 0 : from / group;
  const groups = (count + each - 1) / each;
  if (!prepareGroups(kind, bits, scaleType, wide, scales, zeros, first, groups, limit)) return false;
  let at = BYTES;
  if (kind == TRELLIS) trellisBytes(bits, lut, source, fresh, from, count, BYTES);
  else if (kind == INTEGERS) at = source + 2 * <usize>from;
  else if (kind == SIGN) at = source + <usize>(from >> 3);
  else if (bits == 8) at = source + <usize>from;
  else expandCodes(bits, source + <usize>((from >> 3) * bits), count, BYTES);
  if (kind == TRELLIS) {
    if (wide) finishIntegers(SMALL, true, at, count, each, to);
    else finishIntegers(SMALL, false, at, count, each, to);
  } else if (kind == INTEGERS) {
    if (wide) finishIntegers(LARGE, true, at, count, each, to);
    else finishIntegers(LARGE, false, at, count, each, to);
  } else if (kind == SIGN) {
    if (wide) finishSigns(at, count, each, to);
    else finishSignsHalf(at, count, each, to);
  } else if (wide) finishCodes(at, count, each, to);
  else if (bits <= 2) finishTable(4, at, count, each, to);
  else if (bits == 3) finishTable(8, at, count, each, to);
  else if (bits == 4) finishTable(16, at, count, each, to);
  else finishCodesHalf(at, count, each, to);
  return true;
}
