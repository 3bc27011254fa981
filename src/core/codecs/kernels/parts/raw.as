// Raw weights, from one float type to another. The kernels that decode and that apply share this file; it is no kernel itself.

import { evenOdd, F16, F32, roundHalf, TAIL } from "./tile";

// Classes of binary16 numbers: all are normal; all are finite; F16 means that there may be infinities or NaN.
export const HALVES_NORMAL: i32 = 3;
export const HALVES_FINITE: i32 = 4;

/** The class of `count` binary16 numbers. It also looks at up to 14 bytes behind them, so the class may be too wide. */
export function kindsOfHalves(from: usize, count: i32): i32 {
  const end = from + 2 * <usize>count;
  let least = i16x8.splat(0x7fff);
  // Reorders exponents so that 31 is lowest, then 0, then the others.
  for (; from < end; from += 16) {
    const turned = v128.and(i16x8.add(v128.load(from), i16x8.splat(0x400)), i16x8.splat(0x7fff));
    least = i16x8.min_s(least, turned);
  }
  if (!v128.any_true(i16x8.lt_s(least, i16x8.splat(0x800)))) return HALVES_NORMAL;
  return v128.any_true(i16x8.lt_s(least, i16x8.splat(0x400))) ? F16 : HALVES_FINITE;
}

/** The upper 16 bits of eight normal binary16 numbers h in binary32, with another exponent bias. The lower bits are h << 13. */
// @ts-ignore: decorator
@inline
function upperBits(h: v128): v128 {
  return i16x8.add(v128.and(i16x8.shr_s(h, 3), i16x8.splat(-28673)), i16x8.splat(0x3800));
}

/**
 * Turns four finite binary16 numbers, sign-extended to 32 bits, into binary32. It first takes a subnormal number of
 * significand f for 2^-15 (1 + f); adding that to itself and subtracting 2^-14 gives the right value. So no intermediate is
 * subnormal in binary32, which would cost a hundred cycles on many machines.
 */
// @ts-ignore: decorator
@inline
function widenFinite(h: v128): v128 {
  const bits = i32x4.shl(h, 13);
  const x = i32x4.add(v128.and(bits, i32x4.splat(0x0fffe000)), i32x4.splat(0x38000000));
  const magnitude = f32x4.add(x, f32x4.pmin(f32x4.splat(0), f32x4.sub(x, f32x4.splat(0.00006103515625))));
  return v128.or(magnitude, v128.and(bits, i32x4.splat(0x80000000)));
}

/** The first four of eight binary16 numbers in binary32; all are of class `kinds`, HALVES_NORMAL or HALVES_FINITE. */
// @ts-ignore: decorator
@inline
export function firstFour(kinds: i32, h: v128): v128 {
  return kinds == HALVES_NORMAL
    ? i16x8.shuffle(i16x8.shl(h, 13), upperBits(h), 0, 8, 1, 9, 2, 10, 3, 11)
    : widenFinite(i32x4.extend_low_i16x8_s(h));
}

/** The last four of eight binary16 numbers, as {@link firstFour}. */
// @ts-ignore: decorator
@inline
export function lastFour(kinds: i32, h: v128): v128 {
  return kinds == HALVES_NORMAL
    ? i16x8.shuffle(i16x8.shl(h, 13), upperBits(h), 4, 12, 5, 13, 6, 14, 7, 15)
    : widenFinite(i32x4.extend_high_i16x8_s(h));
}

/** Turns four binary16 numbers of any class, zero-extended to 32 bits, into binary32. */
// @ts-ignore: decorator
@inline
function widen(h: v128): v128 {
  const magnitude = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16);
  const high = v128.and(i32x4.ge_s(magnitude, i32x4.splat(0x0f800000)), i32x4.splat(0x38000000));
  const normal = i32x4.add(i32x4.add(magnitude, i32x4.splat(0x38000000)), high);
  const subnormal = f32x4.sub(i32x4.add(magnitude, i32x4.splat(0x38800000)), i32x4.splat(0x38800000));
  const small = i32x4.lt_s(magnitude, i32x4.splat(0x00800000));
  return v128.or(v128.bitselect(subnormal, normal, small), sign);
}

/**
 * Rounds magnitudes of four binary32 numbers, none of them NaN, to binary16 in the low half of each lane; the high half is
 * undefined. It clamps larger numbers to 2^16, which becomes infinity.
 */
// @ts-ignore: decorator
@inline
function narrow(magnitude: v128): v128 {
  return roundHalf(f32x4.mul(i32x4.min_s(magnitude, i32x4.splat(0x47800000)), f32x4.splat(4)));
}

/** As {@link narrow}, also for NaN, which keeps its upper bits and becomes quiet. */
// @ts-ignore: decorator
@inline
function narrowAny(magnitude: v128): v128 {
  const payload = v128.or(v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(0x3ff)), i32x4.splat(0x7e00));
  return v128.bitselect(payload, narrow(magnitude), i32x4.gt_s(magnitude, i32x4.splat(0x7f800000)));
}

/** Rounds eight binary32 or bf16 numbers to binary16. */
// @ts-ignore: decorator
@inline
function narrowEight(element: i32, from: usize): v128 {
  const mask = i32x4.splat(0x7fffffff);
  let x = v128.load(from), y: v128, signs: v128;
  if (element == F32) {
    y = v128.load(from, 16);
    signs = i16x8.shuffle(x, y, 1, 3, 5, 7, 9, 11, 13, 15);
    x = v128.and(x, mask);
    y = v128.and(y, mask);
  } else {
    signs = x;
    // y: the odd ones; x: the even ones.
    y = v128.and(x, i32x4.splat(0x7fff0000));
    x = v128.and(i32x4.shl(x, 16), mask);
  }
  let low: v128, high: v128;
  if (v128.any_true(i32x4.gt_s(i32x4.max_s(x, y), i32x4.splat(0x7f800000)))) {
    low = narrowAny(x);
    high = narrowAny(y);
  } else {
    low = narrow(x);
    high = narrow(y);
  }
  const magnitudes = element == F32 ? i16x8.shuffle(low, high, 0, 2, 4, 6, 8, 10, 12, 14) : evenOdd(low, high);
  return v128.or(magnitudes, v128.and(signs, i16x8.splat(-32768)));
}

/** Converts eight numbers of binary16 or bf16 to binary32, or of any type to binary16. */
// @ts-ignore: decorator
@inline
function convertEight(element: i32, wide: bool, from: usize, to: usize): void {
  const h = v128.load(from);
  if (!wide) {
    if (element == F16) {
      // A NaN becomes quiet, as a conversion through binary32 would make it (3.2, 8.7).
      const nan = i16x8.gt_s(v128.and(h, i16x8.splat(0x7fff)), i16x8.splat(0x7c00));
      v128.store(to, v128.or(h, v128.and(nan, i16x8.splat(0x200))));
    } else v128.store(to, narrowEight(element, from));
    return;
  }
  if (element == F16) {
    v128.store(to, widen(i32x4.extend_low_i16x8_u(h)));
    v128.store(to, widen(i32x4.extend_high_i16x8_u(h)), 16);
  } else if (element == HALVES_NORMAL || element == HALVES_FINITE) {
    v128.store(to, firstFour(element, h));
    v128.store(to, lastFour(element, h), 16);
  } else {
    const zero = i32x4.splat(0);
    v128.store(to, i16x8.shuffle(zero, h, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(to, i16x8.shuffle(zero, h, 4, 12, 5, 13, 6, 14, 7, 15), 16);
  }
}

// @ts-ignore: decorator
@inline
function convertAll(element: i32, wide: bool, from: usize, count: i32, to: usize): void {
  const size: usize = wide ? 4 : 2;
  const width: usize = element == F32 ? 32 : 16;
  for (; count >= 8; count -= 8) {
    convertEight(element, wide, from, to);
    from += width;
    to += 8 * size;
  }
  if (count > 0) {
    convertEight(element, wide, from, TAIL);
    memory.copy(to, TAIL, <usize>count * size);
  }
}

function widenHalves(from: usize, count: i32, to: usize): void {
  const kinds = kindsOfHalves(from, count);
  if (kinds == HALVES_NORMAL) convertAll(HALVES_NORMAL, true, from, count, to);
  else if (kinds == HALVES_FINITE) convertAll(HALVES_FINITE, true, from, count, to);
  else convertAll(F16, true, from, count, to);
}

/** Converts floats of a type (F32, F16, 2 is bf16) to binary32 or binary16. Reads up to 28 bytes more. */
export function convert(element: i32, wide: bool, from: usize, count: i32, to: usize): void {
  if (element == F32) {
    if (wide) memory.copy(to, from, 4 * <usize>count);
    else convertAll(F32, false, from, count, to);
  } else if (element == F16) {
    if (wide) widenHalves(from, count, to);
    else convertAll(F16, false, from, count, to);
  } else if (wide) convertAll(2, true, from, count, to);
  else convertAll(2, false, from, count, to);
}
