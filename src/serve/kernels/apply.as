// y += multiplier · B'(A'x) from packed planes, in AssemblyScript with 128-bit SIMD: the same bits as ../apply-plain.ts,
// for finite scales; project() and expand() return false for others. Built by src/core/wasm/build.mjs.
//
// Weights of several components become binary32 in tiles of 1024 (codecs/kernels/parts/tile.as), which stay in the L1
// cache and are used for all rows before the next tile. Nothing that is decoded goes to other memory.
//
// No relaxed SIMD: its results may differ between machines.

import { prepare } from "../../core/codecs/kernels/parts/expand";
import {
  convert, firstFour, HALVES_FINITE, HALVES_NORMAL, kindsOfHalves, lastFour,
} from "../../core/codecs/kernels/parts/raw";
import { rotate as rotateIntegers } from "../../core/codecs/kernels/parts/rotate";
import { F16, F32, INTEGERS, prepareGroups, RAW, SCALES, TILE, tile, TRELLIS, trellisBytes } from "../../core/codecs/kernels/parts/tile";
export { prepare, convert };

/** Kind of a row of draws (spec clause 8.8): 16-bit integers times 2^-15, as in ../program.ts. */
const DRAWS: i32 = 6;

/** Bytes of an entry of a list of components, as in ../program.ts. */
const ENTRY: usize = 36;
/** Bytes from one component's weights to the next: a tile and a cache line, to avoid conflicts in the cache. */
const APART: usize = 4 * 1024 + 64;
/** The same for integers of a byte, which follow the component's scale. */
const SMALL_APART: usize = 1024 + 64;
/** Number of components whose weights are multiplied together. */
const INNER: i32 = 4;
const OUTER: i32 = 8;
/** The same for many rows, for which the L2 cache is fast enough. */
const OUTER_MANY: i32 = 16;
const MANY: i32 = 8;

/** Rotates a component's integers, for all its tiles, to `integers`; `small` has room for a byte per integer. */
function prepareIntegers(entry: usize, payload: usize, length: i32, small: usize, integers: usize): void {
  rotateIntegers(load<i32>(entry, 4), load<u32>(entry, 16), codesOf(entry, payload), length, small, integers);
}

/** Weights from … from + count − 1 of a component, from its `integers` if there are any. False if a scale is not finite. */
function weights(entry: usize, payload: usize, integers: usize, from: i32, count: i32, to: usize): bool {
  const kind = load<i32>(entry);
  const bits = load<i32>(entry, 4);
  const codes = codesOf(entry, payload);
  if (kind == DRAWS) {
    convertDraws(codes + 2 * <usize>from, count, to);
    return true;
  }
  if (kind == RAW) {
    convert(bits, true, codes + (bits == F32 ? 4 : 2) * <usize>from, count, to);
    return true;
  }
  return tile(
    integers == 0 ? kind : INTEGERS, bits, load<i32>(entry, 8), true,
    integers == 0 ? codes : integers, load<u32>(entry, 16),
    payload + <usize>load<u32>(entry, 24), payload + <usize>load<u32>(entry, 28),
    load<i32>(entry, 12), from == 0, from, count, to,
  );
}

/** Converts draws to binary32. Reads and writes up to seven more. */
function convertDraws(from: usize, count: i32, to: usize): void {
  const unit = f32x4.splat(1.0 / 32768.0);
  const end = from + 2 * <usize>count;
  for (; from < end; from += 16, to += 32) {
    const x = v128.load(from);
    v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(x)), unit));
    v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(x)), unit), 16);
  }
}

/** Address of the codes of a component in a list. */
// @ts-ignore: decorator
@inline
function codesOf(entry: usize, payload: usize): usize {
  return payload + <usize>load<u32>(entry, 20);
}

/** Kinds of numbers in `own` components (kindsOfHalves): F16 for all kinds, or if some component is not stored as binary16. */
function halvesIn(entries: usize, own: i32, payload: usize, length: i32): i32 {
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

/** Whether all components are trellises with one scale. For one row their integers are multiplied without a tile of weights. */
function areSmall(entries: usize, own: i32): bool {
  const end = entries + ENTRY * <usize>own;
  for (let entry = entries; entry < end; entry += ENTRY)
    if (load<i32>(entry) != TRELLIS || load<i32>(entry, 12) != 0) return false;
  return true;
}

/** The scale and, 16 bytes behind it, the integers of a tile of `own` components. False if a scale is not finite. */
function smallWeights(entries: usize, own: i32, payload: usize, from: i32, count: i32, to: usize): bool {
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

/** As {@link multiplyInner} for one row and {@link smallWeights}. Reads up to seven integers and numbers of x more, which are zeros. */
function multiplyInnerSmall(from: usize, own: i32, x: usize, count: i32, sums: usize): void {
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

/** As {@link multiplyOuter} for one row and {@link smallWeights}. Writes up to fifteen numbers more. */
function multiplyOuterSmall(from: usize, own: i32, h: usize, z: usize, count: i32, fresh: bool): void {
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

/** As {@link multiplyInner} for one row and up to four components of binary16, directly from their planes. */
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

/**
 * Multiplies `own` components, up to four, and `rows` rows; adds to the lanes of `sums[row][component]`. `count` is a multiple
 * of 4. It may also multiply what the tiles of missing components hold; nothing reads their sums.
 */
function multiplyInner(tiles: usize, own: i32, x: usize, xApart: usize, rows: i32, count: i32, sums: usize): void {
  const end = tiles + 4 * <usize>count;
  if (rows == 1 && own <= 2) {
    let a = v128.load(sums), b = v128.load(sums, 16);
    for (let w = tiles; w < end; w += 16) {
      const u = v128.load(x);
      a = f32x4.add(a, f32x4.mul(v128.load(w), u));
      b = f32x4.add(b, f32x4.mul(v128.load(w, 4160), u));
      x += 16;
    }
    v128.store(sums, a);
    v128.store(sums, b, 16);
    return;
  }
  let row = 0;
  for (; row + 2 <= rows; row += 2) {
    let a = v128.load(sums), b = v128.load(sums, 16), c = v128.load(sums, 32), d = v128.load(sums, 48);
    let e = v128.load(sums, 64), f = v128.load(sums, 80), g = v128.load(sums, 96), h = v128.load(sums, 112);
    let at = x;
    for (let w = tiles; w < end; w += 16) {
      const u = v128.load(at), v = v128.load(at + xApart);
      let z = v128.load(w);
      a = f32x4.add(a, f32x4.mul(z, u));
      e = f32x4.add(e, f32x4.mul(z, v));
      z = v128.load(w, 4160);
      b = f32x4.add(b, f32x4.mul(z, u));
      f = f32x4.add(f, f32x4.mul(z, v));
      z = v128.load(w, 8320);
      c = f32x4.add(c, f32x4.mul(z, u));
      g = f32x4.add(g, f32x4.mul(z, v));
      z = v128.load(w, 12480);
      d = f32x4.add(d, f32x4.mul(z, u));
      h = f32x4.add(h, f32x4.mul(z, v));
      at += 16;
    }
    v128.store(sums, a);
    v128.store(sums, b, 16);
    v128.store(sums, c, 32);
    v128.store(sums, d, 48);
    v128.store(sums, e, 64);
    v128.store(sums, f, 80);
    v128.store(sums, g, 96);
    v128.store(sums, h, 112);
    sums += 128;
    x += 2 * xApart;
  }
  if (row == rows) return;
  let a = v128.load(sums), b = v128.load(sums, 16), c = v128.load(sums, 32), d = v128.load(sums, 48);
  for (let w = tiles; w < end; w += 16) {
    const u = v128.load(x);
    a = f32x4.add(a, f32x4.mul(v128.load(w), u));
    b = f32x4.add(b, f32x4.mul(v128.load(w, 4160), u));
    c = f32x4.add(c, f32x4.mul(v128.load(w, 8320), u));
    d = f32x4.add(d, f32x4.mul(v128.load(w, 12480), u));
    x += 16;
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
  v128.store(sums, c, 32);
  v128.store(sums, d, 48);
}

/**
 * A'x: computes, for each component of a list and each row of x, four sums, with weight i in sum i mod 4, then
 * (sum 0 + sum 1) + (sum 2 + sum 3), times `multiplier`, to `h[slot][row]` with the slot of its entry.
 *
 * @param x rows of binary32 with a stride of `xApart` bytes, each followed by zeros up to a multiple of 4
 * @param integers room for 16 whole vectors of 16-bit integers and one of bytes if all components are rotated before
 *   they are multiplied; 0 if none is
 * @param sums room for 64 bytes per row
 * @param tiles room for 16 tiles
 * @returns false if a scale is not finite
 */
export function project(
  list: usize, components: i32, payload: usize, x: usize, xApart: usize, rows: i32, length: i32,
  multiplier: f32, integers: usize, sums: usize, tiles: usize, h: usize, hApart: usize,
): bool {
  const each: usize = integers == 0 ? 0 : 2 * <usize>length;
  for (let first = 0; first < components; first += INNER) {
    const own = min(INNER, components - first);
    const entries = list + ENTRY * <usize>first;
    memory.fill(sums, 0, 64 * <usize>rows);
    if (integers != 0) {
      const small = integers + <usize>INNER * each;
      for (let c: usize = 0; c < <usize>own; c++) prepareIntegers(entries + ENTRY * c, payload, length, small, integers + each * c);
    }
    let from = 0;
    const kinds = rows == 1 ? halvesIn(entries, own, payload, length) : F16;
    if (kinds != F16) {
      from = length & -8;
      if (kinds == HALVES_NORMAL) multiplyInnerNormal(entries, own, payload, x, from, sums);
      else multiplyInnerFinite(entries, own, payload, x, from, sums);
    }
    const small = rows == 1 && integers == 0 && areSmall(entries, own);
    for (; from < length; from += TILE) {
      const count = min(TILE, length - from);
      if (small) {
        if (!smallWeights(entries, own, payload, from, count, tiles)) return false;
        multiplyInnerSmall(tiles, own, x + 4 * <usize>from, count, sums);
        continue;
      }
      const whole = (count + 3) & -4;
      for (let c: usize = 0; c < <usize>own; c++) {
        const to = tiles + APART * c;
        if (!weights(entries + ENTRY * c, payload, integers + each * c, from, count, to)) return false;
        for (let i = count; i < whole; i++) store<f32>(to + 4 * <usize>i, 0);
      }
      multiplyInner(tiles, own, x + 4 * <usize>from, xApart, rows, whole, sums);
    }
    for (let c: usize = 0; c < <usize>own; c++) {
      let from = sums + 16 * c;
      let to = h + hApart * <usize>load<u32>(entries + ENTRY * c, 32);
      for (let row = 0; row < rows; row++) {
        store<f32>(to, multiplier * ((load<f32>(from) + load<f32>(from, 4)) + (load<f32>(from, 8) + load<f32>(from, 12))));
        from += 64;
        to += 4;
      }
    }
  }
  return true;
}

/** As {@link multiplyOuter} for one row and components of binary16, directly from their planes. */
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

/** Multiplies `own` components and `rows` rows: adds weights times h to z, or sets z if `fresh`. `count` is a multiple of 16. */
function multiplyOuter(
  tiles: usize, own: i32, h: usize, hApart: usize, z: usize, zApart: usize, rows: i32, count: i32, fresh: bool,
): void {
  const bytes: usize = 4 * <usize>count;
  const end = tiles + APART * <usize>own;
  let row = 0;
  for (; row + 2 <= rows; row += 2) {
    for (let i: usize = 0; i < bytes; i += 64) {
      const to = z + i;
      const next = to + zApart;
      let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, j = a;
      if (!fresh) {
        a = v128.load(to), b = v128.load(to, 16), c = v128.load(to, 32), d = v128.load(to, 48);
        e = v128.load(next), f = v128.load(next, 16), g = v128.load(next, 32), j = v128.load(next, 48);
      }
      let factors = h;
      for (let w = tiles + i; w < end; w += APART) {
        const u = v128.load32_splat(factors), v = v128.load32_splat(factors, 4);
        let x = v128.load(w);
        a = f32x4.add(a, f32x4.mul(x, u));
        e = f32x4.add(e, f32x4.mul(x, v));
        x = v128.load(w, 16);
        b = f32x4.add(b, f32x4.mul(x, u));
        f = f32x4.add(f, f32x4.mul(x, v));
        x = v128.load(w, 32);
        c = f32x4.add(c, f32x4.mul(x, u));
        g = f32x4.add(g, f32x4.mul(x, v));
        x = v128.load(w, 48);
        d = f32x4.add(d, f32x4.mul(x, u));
        j = f32x4.add(j, f32x4.mul(x, v));
        factors += hApart;
      }
      v128.store(to, a);
      v128.store(to, b, 16);
      v128.store(to, c, 32);
      v128.store(to, d, 48);
      v128.store(next, e);
      v128.store(next, f, 16);
      v128.store(next, g, 32);
      v128.store(next, j, 48);
    }
    h += 8;
    z += 2 * zApart;
  }
  if (row == rows) return;
  for (let i: usize = 0; i < bytes; i += 64) {
    const to = z + i;
    let a = f32x4.splat(0), b = a, c = a, d = a;
    if (!fresh) a = v128.load(to), b = v128.load(to, 16), c = v128.load(to, 32), d = v128.load(to, 48);
    let factors = h;
    for (let w = tiles + i; w < end; w += APART) {
      const u = v128.load32_splat(factors);
      a = f32x4.add(a, f32x4.mul(v128.load(w), u));
      b = f32x4.add(b, f32x4.mul(v128.load(w, 16), u));
      c = f32x4.add(c, f32x4.mul(v128.load(w, 32), u));
      d = f32x4.add(d, f32x4.mul(v128.load(w, 48), u));
      factors += hApart;
    }
    v128.store(to, a);
    v128.store(to, b, 16);
    v128.store(to, c, 32);
    v128.store(to, d, 48);
  }
}

/**
 * B'h: adds the weights of each component of a list times its h to each row of z, in order. If `fresh`, z begins as zeros.
 *
 * @param h `h[component][row]`, with a stride of `hApart` bytes between components
 * @param integers as for {@link project}
 * @param z rows of binary32 with a stride of `zApart` bytes, a multiple of 64
 * @param tiles room for 16 tiles
 * @returns false if a scale is not finite
 */
export function expand(
  list: usize, components: i32, payload: usize, h: usize, hApart: usize, rows: i32, length: i32,
  integers: usize, z: usize, zApart: usize, tiles: usize, fresh: bool,
): bool {
  const each: usize = integers == 0 ? 0 : 2 * <usize>length;
  const most = rows >= MANY ? OUTER_MANY : OUTER;
  for (let first = 0; first < components; first += most) {
    const own = min(most, components - first);
    const entries = list + ENTRY * <usize>first;
    if (integers != 0) {
      const small = integers + <usize>OUTER_MANY * each;
      for (let c: usize = 0; c < <usize>own; c++) prepareIntegers(entries + ENTRY * c, payload, length, small, integers + each * c);
    }
    const factors = h + hApart * <usize>first;
    let from = 0;
    const kinds = rows == 1 ? halvesIn(entries, own, payload, length) : F16;
    if (kinds != F16) {
      from = length & -16;
      const begins = fresh && first == 0;
      if (kinds == HALVES_NORMAL) multiplyOuterNormal(entries, own, payload, factors, z, from, begins);
      else multiplyOuterFinite(entries, own, payload, factors, z, from, begins);
    }
    const small = rows == 1 && integers == 0 && areSmall(entries, own);
    for (; from < length; from += TILE) {
      const count = min(TILE, length - from);
      if (small) {
        if (!smallWeights(entries, own, payload, from, count, tiles)) return false;
        multiplyOuterSmall(tiles, own, factors, z + 4 * <usize>from, count, fresh && first == 0);
        continue;
      }
      for (let c: usize = 0; c < <usize>own; c++)
        if (!weights(entries + ENTRY * c, payload, integers + each * c, from, count, tiles + APART * c)) return false;
      multiplyOuter(tiles, own, factors, hApart, z + 4 * <usize>from, zApart, rows, (count + 15) & -16, fresh && first == 0);
    }
  }
  return true;
}

/** Adds `count` numbers at `from`, and up to three more, to those at `to`. */
export function add(from: usize, count: i32, to: usize): void {
  const end = from + 4 * <usize>count;
  for (; from < end; from += 16, to += 16) v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
}

/** Adds the sums of `count` numbers at `one` and at `other`, and of up to three more, to those at `to`. */
export function addSums(one: usize, other: usize, count: i32, to: usize): void {
  const end = one + 4 * <usize>count;
  for (; one < end; one += 16, other += 16, to += 16)
    v128.store(to, f32x4.add(v128.load(to), f32x4.add(v128.load(one), v128.load(other))));
}

// ---- rotation ---------------------------------------------------------------------------------------------------

/** Three stages of butterflies for eight rows with a stride of `apart` bytes: four columns, or one. */
// @ts-ignore: decorator
@inline
function mixEight(at: usize, apart: usize, single: bool): void {
  const p1 = at + apart, p2 = at + 2 * apart, p3 = at + 3 * apart;
  const p4 = at + 4 * apart, p5 = p1 + 4 * apart, p6 = p2 + 4 * apart, p7 = p3 + 4 * apart;
  const a = take(at, single), b = take(p1, single), c = take(p2, single), d = take(p3, single);
  const e = take(p4, single), f = take(p5, single), g = take(p6, single), h = take(p7, single);
  const a1 = f32x4.add(a, b), b1 = f32x4.sub(a, b), c1 = f32x4.add(c, d), d1 = f32x4.sub(c, d);
  const e1 = f32x4.add(e, f), f1 = f32x4.sub(e, f), g1 = f32x4.add(g, h), h1 = f32x4.sub(g, h);
  const a2 = f32x4.add(a1, c1), c2 = f32x4.sub(a1, c1), b2 = f32x4.add(b1, d1), d2 = f32x4.sub(b1, d1);
  const e2 = f32x4.add(e1, g1), g2 = f32x4.sub(e1, g1), f2 = f32x4.add(f1, h1), h2 = f32x4.sub(f1, h1);
  give(at, f32x4.add(a2, e2), single);
  give(p1, f32x4.add(b2, f2), single);
  give(p2, f32x4.add(c2, g2), single);
  give(p3, f32x4.add(d2, h2), single);
  give(p4, f32x4.sub(a2, e2), single);
  give(p5, f32x4.sub(b2, f2), single);
  give(p6, f32x4.sub(c2, g2), single);
  give(p7, f32x4.sub(d2, h2), single);
}

// @ts-ignore: decorator
@inline
function take(at: usize, single: bool): v128 {
  return single ? v128.load32_zero(at) : v128.load(at);
}

// @ts-ignore: decorator
@inline
function give(at: usize, x: v128, single: bool): void {
  if (single) v128.store32_lane(at, x, 0);
  else v128.store(at, x);
}

/** The transform of spec clause 8.6.1 on 64 rows of binary32. */
function transform(at: usize, columns: i32): void {
  const apart: usize = 4 * <usize>columns;
  const whole: usize = 4 * <usize>(columns & -4);
  for (let pass = 0; pass < 2; pass++) {
    const inner = pass == 0 ? apart : 8 * apart;
    for (let k = 0; k < 8; k++) {
      const row = at + <usize>k * (pass == 0 ? 8 * apart : apart);
      for (let i: usize = 0; i < whole; i += 16) mixEight(row + i, inner, false);
      for (let i = whole; i < apart; i += 4) mixEight(row + i, inner, true);
    }
  }
}

/** Negates the rows whose sign is −1. */
function turnRows(at: usize, columns: i32): void {
  const apart: usize = 4 * <usize>columns;
  for (let row = 0; row < 64; row++) {
    const pairs = row & (row >> 1) & 21;
    if (((pairs ^ (pairs >> 2) ^ (pairs >> 4)) & 1) == 0) continue;
    const from = at + <usize>row * apart;
    const whole = from + 4 * <usize>(columns & -4);
    const end = from + apart;
    let to = from;
    for (; to < whole; to += 16) v128.store(to, f32x4.neg(v128.load(to)));
    for (; to < end; to += 4) store<f32>(to, -load<f32>(to));
  }
}

/** Rotates `length` numbers in place: in the direction of decoding, or `transposed`, for the other side of the product. */
export function rotate(transposed: bool, at: usize, length: i32): void {
  const columns = length >> 6;
  if (transposed) turnRows(at, columns);
  transform(at, columns);
  if (!transposed) turnRows(at, columns);
  for (let i = columns << 6; i < length; i++) store<f32>(at + 4 * <usize>i, 8 * load<f32>(at + 4 * <usize>i));
}
