// y += multiplier · B'(A'x) from packed planes, in AssemblyScript with 128-bit SIMD: the same bits as ../apply-plain.ts,
// for finite scales; project() and expand() return false for others. Built by src/common/wasm/build.mjs.
//
// Weights of several components become binary32 in tiles of 1024 (codecs/kernels/parts/tile.as), which stay in the L1
// cache and are used for all rows before the next tile. Nothing that is decoded goes to other memory.
//
// No relaxed SIMD: its results may differ between machines.

import { prepare } from "../../core/codecs/kernels/parts/expand";
import { convert, HALVES_NORMAL } from "../../core/codecs/kernels/parts/raw";
import { rotate as rotateIntegers } from "../../core/codecs/kernels/parts/rotate";
import { F16, F32, INTEGERS, RAW, TILE, tile } from "../../core/codecs/kernels/parts/tile";
import {
  areSmall, codesOf, ENTRY, halvesIn, multiplyInnerFinite, multiplyInnerNormal, multiplyInnerSmall, multiplyOuterFinite,
  multiplyOuterNormal, multiplyOuterSmall, smallWeights,
} from "./parts/one-row";
export { rotate } from "./parts/rotate-rows";
export { multiplyInnerFinite, multiplyInnerNormal, multiplyOuterFinite, multiplyOuterNormal };
export { prepare, convert };

/** Kind of a row of draws (spec clause 8.8): 16-bit integers times 2^-15, as in ../program.ts. */
const DRAWS: i32 = 6;

/** Bytes from one component's weights to the next: a tile and a cache line, to avoid conflicts in the cache. */
const APART: usize = 4 * 1024 + 64;
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
