// Multiplies one row with components straight from their planes, without a tile of weights in binary32: vectors of binary16, and
// trellises with one scale, of which a tile of integers is enough. The products and sums are those of ../apply.as.

import { firstFour, HALVES_FINITE, HALVES_NORMAL, kindsOfHalves, lastFour } from "../../../core/codecs/kernels/parts/raw";
import { F16, prepareGroups, RAW, SCALES, TRELLIS, trellisBytes } from "../../../core/codecs/kernels/parts/tile";

/** Bytes of an entry of a list of components, as in ../../program.ts. */
export const ENTRY: usize = 36;

/** Address of the codes of a component in a list. */
// @ts-ignore: decorator
@inline
export function codesOf(entry: usize, payload: usize): usize {
  return payload + <usize>load<u32>(entry, 20);
}

/** Kinds of numbers in `own` components (kindsOfHalves): F16 for all kinds, or if some component is not stored as binary16. */
export function halvesIn(entries: usize, own: i32, payload: usize, length: i32): i32 {
  const end = entries + ENTRY * <usize>own;
  for (let entry = entries; entry < end; entry += ENTRY)
    if (load<i32>(entry) != RAW || load<i32>(entry, 4) != F16) return F16;
  let all = HALVES_NORMAL;
  for (let entry = entries; entry < end; entry += ENTRY) {
    const kinds = kindsOfHalves(codesOf(entry, payload), length);
    if (kinds == F16) return F16;
    if (kinds == HALVES_FINITE) all = HALVES_FINITE;
  }
  return all;
}

/** As `multiplyInner` for one row and up to four components of binary16, directly from their planes. */
// @ts-ignore: decorator
@inline
function multiplyInnerHalves(kinds: i32, entries: usize, own: i32, payload: usize, x: usize, count: i32, sums: usize): void {
  let w0 = codesOf(entries, payload), w1 = w0, w2 = w0, w3 = w0;
  // A missing component repeats the first one; nothing reads its sums.
  if (own > 1) w1 = codesOf(entries + ENTRY, payload);
  if (own > 2) w2 = codesOf(entries + 2 * ENTRY, payload);
  if (own > 3) w3 = codesOf(entries + 3 * ENTRY, payload);
  let a = v128.load(sums), b = v128.load(sums, 16), c = v128.load(sums, 32), d = v128.load(sums, 48);
  const end: usize = 2 * <usize>count;
  for (let i: usize = 0; i < end; i += 16, x += 32) {
    const u = v128.load(x), v = v128.load(x, 16);
    let z = v128.load(w0 + i);
    a = f32x4.add(f32x4.add(a, f32x4.mul(firstFour(kinds, z), u)), f32x4.mul(lastFour(kinds, z), v));
    z = v128.load(w1 + i);
    b = f32x4.add(f32x4.add(b, f32x4.mul(firstFour(kinds, z), u)), f32x4.mul(lastFour(kinds, z), v));
    z = v128.load(w2 + i);
    c = f32x4.add(f32x4.add(c, f32x4.mul(firstFour(kinds, z), u)), f32x4.mul(lastFour(kinds, z), v));
    z = v128.load(w3 + i);
    d = f32x4.add(f32x4.add(d, f32x4.mul(firstFour(kinds, z), u)), f32x4.mul(lastFour(kinds, z), v));
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
  v128.store(sums, c, 32);
  v128.store(sums, d, 48);
}

// Separate exported functions, so that the compiler does not inline them: in one function, the constants of all
// loops compete for registers, which costs a third of the time (Node 20).
export function multiplyInnerNormal(entries: usize, own: i32, payload: usize, x: usize, count: i32, sums: usize): void {
  multiplyInnerHalves(HALVES_NORMAL, entries, own, payload, x, count, sums);
}
export function multiplyInnerFinite(entries: usize, own: i32, payload: usize, x: usize, count: i32, sums: usize): void {
  multiplyInnerHalves(HALVES_FINITE, entries, own, payload, x, count, sums);
}

/** As `multiplyOuter` for one row and components of binary16, directly from their planes. */
// @ts-ignore: decorator
@inline
function multiplyOuterHalves(kinds: i32, entries: usize, own: i32, payload: usize, h: usize, z: usize, count: i32, fresh: bool): void {
  const end = entries + ENTRY * <usize>own;
  const bytes: usize = 2 * <usize>count;
  for (let i: usize = 0; i < bytes; i += 32, z += 64) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    if (!fresh) a = v128.load(z), b = v128.load(z, 16), c = v128.load(z, 32), d = v128.load(z, 48);
    let factors = h;
    for (let entry = entries; entry < end; entry += ENTRY, factors += 4) {
      const at = codesOf(entry, payload) + i;
      const u = v128.load32_splat(factors);
      let w = v128.load(at);
      a = f32x4.add(a, f32x4.mul(firstFour(kinds, w), u));
      b = f32x4.add(b, f32x4.mul(lastFour(kinds, w), u));
      w = v128.load(at, 16);
      c = f32x4.add(c, f32x4.mul(firstFour(kinds, w), u));
      d = f32x4.add(d, f32x4.mul(lastFour(kinds, w), u));
    }
    v128.store(z, a);
    v128.store(z, b, 16);
    v128.store(z, c, 32);
    v128.store(z, d, 48);
  }
}

export function multiplyOuterNormal(
  entries: usize, own: i32, payload: usize, h: usize, z: usize, count: i32, fresh: bool,
): void {
  multiplyOuterHalves(HALVES_NORMAL, entries, own, payload, h, z, count, fresh);
}
export function multiplyOuterFinite(
  entries: usize, own: i32, payload: usize, h: usize, z: usize, count: i32, fresh: bool,
): void {
  multiplyOuterHalves(HALVES_FINITE, entries, own, payload, h, z, count, fresh);
}

/** Bytes from one component's scale and integers to the next: a tile of bytes and a cache line, to avoid conflicts in the cache. */
const SMALL_APART: usize = 1024 + 64;
/** Whether all components are trellises with one scale. For one row their integers are multiplied without a tile of weights. */
export function areSmall(entries: usize, own: i32): bool {
  const end = entries + ENTRY * <usize>own;
  for (let entry = entries; entry < end; entry += ENTRY)
    if (load<i32>(entry) != TRELLIS || load<i32>(entry, 12) != 0) return false;
  return true;
}

/** The scale and, 16 bytes behind it, the integers of a tile of `own` components. False if a scale is not finite. */
export function smallWeights(entries: usize, own: i32, payload: usize, from: i32, count: i32, to: usize): bool {
  const end = entries + ENTRY * <usize>own;
  for (let entry = entries; entry < end; entry += ENTRY, to += SMALL_APART) {
    if (!prepareGroups(TRELLIS, 0, load<i32>(entry, 8), true, payload + <usize>load<u32>(entry, 24), 0, 0, 1, 127)) return false;
    store<f32>(to, load<f32>(SCALES));
    trellisBytes(load<i32>(entry, 4), load<u32>(entry, 16), codesOf(entry, payload), from == 0, from, count, to + 16);
  }
  return true;
}

/** Integers times scale, exactly. */
// @ts-ignore: decorator
@inline
function lowFour(integers: v128, scale: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(integers)), scale);
}

// @ts-ignore: decorator
@inline
function highFour(integers: v128, scale: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(integers)), scale);
}

/** As `multiplyInner` for one row and {@link smallWeights}. Reads up to seven integers and numbers of x more, which are zeros. */
export function multiplyInnerSmall(from: usize, own: i32, x: usize, count: i32, sums: usize): void {
  for (let c = 0; c < own; c += 2, from += 2 * SMALL_APART, sums += 32) {
    const s = v128.load32_splat(from), t = v128.load32_splat(from, 1088);
    let a = v128.load(sums), b = v128.load(sums, 16);
    let at = x;
    const end = from + <usize>count;
    for (let w = from; w < end; w += 8, at += 32) {
      const u = v128.load(at), v = v128.load(at, 16);
      let n = v128.load8x8_s(w, 16);
      a = f32x4.add(f32x4.add(a, f32x4.mul(lowFour(n, s), u)), f32x4.mul(highFour(n, s), v));
      n = v128.load8x8_s(w, 1104);
      b = f32x4.add(f32x4.add(b, f32x4.mul(lowFour(n, t), u)), f32x4.mul(highFour(n, t), v));
    }
    v128.store(sums, a);
    v128.store(sums, b, 16);
  }
}

/** As `multiplyOuter` for one row and {@link smallWeights}. Writes up to fifteen numbers more. */
export function multiplyOuterSmall(from: usize, own: i32, h: usize, z: usize, count: i32, fresh: bool): void {
  const all = SMALL_APART * <usize>own;
  for (let i: usize = 0; i < <usize>count; i += 16, z += 64) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    if (!fresh) a = v128.load(z), b = v128.load(z, 16), c = v128.load(z, 32), d = v128.load(z, 48);
    const end = from + all;
    let factors = h;
    for (let w = from; w < end; w += SMALL_APART, factors += 4) {
      const s = v128.load32_splat(w), u = v128.load32_splat(factors);
      let n = v128.load8x8_s(w + i, 16);
      a = f32x4.add(a, f32x4.mul(lowFour(n, s), u));
      b = f32x4.add(b, f32x4.mul(highFour(n, s), u));
      n = v128.load8x8_s(w + i, 24);
      c = f32x4.add(c, f32x4.mul(lowFour(n, s), u));
      d = f32x4.add(d, f32x4.mul(highFour(n, s), u));
    }
    v128.store(z, a);
    v128.store(z, b, 16);
    v128.store(z, c, 32);
    v128.store(z, d, 48);
  }
}
