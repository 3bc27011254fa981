// What packed application is measured against, in the same WebAssembly and with the same order of sums where there is one:
// factors decoded to binary32 and then multiplied, and factors that are in memory as binary16. Compiled by ../serve.mjs.

import { decode, prepare, rotate } from "../../src/core/codecs/kernels/decode";
export { prepare, rotate, decode };

// ---- binary32 in memory, [component][weight] --------------------------------------------------------------------

/** sums[row][component of four], from +0. */
function inner(w: usize, wApart: usize, x: usize, xApart: usize, rows: i32, n: i32, h: usize, hApart: usize): void {
  const end: usize = 4 * <usize>n;
  const w1 = w + wApart, w2 = w1 + wApart, w3 = w2 + wApart;
  let row = 0;
  for (; row + 2 <= rows; row += 2) {
    const y = x + xApart;
    let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, j = a;
    for (let i: usize = 0; i < end; i += 16) {
      const u = v128.load(x + i), v = v128.load(y + i);
      let z = v128.load(w + i);
      a = f32x4.add(a, f32x4.mul(z, u));
      e = f32x4.add(e, f32x4.mul(z, v));
      z = v128.load(w1 + i);
      b = f32x4.add(b, f32x4.mul(z, u));
      f = f32x4.add(f, f32x4.mul(z, v));
      z = v128.load(w2 + i);
      c = f32x4.add(c, f32x4.mul(z, u));
      g = f32x4.add(g, f32x4.mul(z, v));
      z = v128.load(w3 + i);
      d = f32x4.add(d, f32x4.mul(z, u));
      j = f32x4.add(j, f32x4.mul(z, v));
    }
    give(a, h), give(b, h + hApart), give(c, h + 2 * hApart), give(d, h + 3 * hApart);
    give(e, h + 4), give(f, h + hApart + 4), give(g, h + 2 * hApart + 4), give(j, h + 3 * hApart + 4);
    h += 8;
    x += 2 * xApart;
  }
  if (row == rows) return;
  let a = f32x4.splat(0), b = a, c = a, d = a;
  for (let i: usize = 0; i < end; i += 16) {
    const u = v128.load(x + i);
    a = f32x4.add(a, f32x4.mul(v128.load(w + i), u));
    b = f32x4.add(b, f32x4.mul(v128.load(w1 + i), u));
    c = f32x4.add(c, f32x4.mul(v128.load(w2 + i), u));
    d = f32x4.add(d, f32x4.mul(v128.load(w3 + i), u));
  }
  give(a, h), give(b, h + hApart), give(c, h + 2 * hApart), give(d, h + 3 * hApart);
}

// @ts-ignore: decorator
@inline
function give(x: v128, to: usize): void {
  store<f32>(to, (f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1)) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3)));
}

/** h[component][row] = A'x for weights in memory. Components and n are multiples of 4. */
export function projectWide(w: usize, components: i32, x: usize, xApart: usize, rows: i32, n: i32, h: usize, hApart: usize): void {
  const apart: usize = 4 * <usize>n;
  for (let c = 0; c < components; c += 4) inner(w + apart * <usize>c, apart, x, xApart, rows, n, h + hApart * <usize>c, hApart);
}

/** z[row] = B'h. `out` is a multiple of 16. */
export function expandWide(w: usize, components: i32, h: usize, hApart: usize, rows: i32, out: i32, z: usize, zApart: usize): void {
  const apart: usize = 4 * <usize>out;
  const end = w + apart * <usize>components;
  let row = 0;
  for (; row + 2 <= rows; row += 2) {
    for (let i: usize = 0; i < apart; i += 64) {
      let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, j = a;
      let factors = h;
      for (let at = w + i; at < end; at += apart) {
        const u = v128.load32_splat(factors), v = v128.load32_splat(factors, 4);
        let x = v128.load(at);
        a = f32x4.add(a, f32x4.mul(x, u));
        e = f32x4.add(e, f32x4.mul(x, v));
        x = v128.load(at, 16);
        b = f32x4.add(b, f32x4.mul(x, u));
        f = f32x4.add(f, f32x4.mul(x, v));
        x = v128.load(at, 32);
        c = f32x4.add(c, f32x4.mul(x, u));
        g = f32x4.add(g, f32x4.mul(x, v));
        x = v128.load(at, 48);
        d = f32x4.add(d, f32x4.mul(x, u));
        j = f32x4.add(j, f32x4.mul(x, v));
        factors += hApart;
      }
      const to = z + i, next = to + zApart;
      v128.store(to, a), v128.store(to, b, 16), v128.store(to, c, 32), v128.store(to, d, 48);
      v128.store(next, e), v128.store(next, f, 16), v128.store(next, g, 32), v128.store(next, j, 48);
    }
    h += 8;
    z += 2 * zApart;
  }
  if (row == rows) return;
  for (let i: usize = 0; i < apart; i += 64) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    let factors = h;
    for (let at = w + i; at < end; at += apart) {
      const u = v128.load32_splat(factors);
      a = f32x4.add(a, f32x4.mul(v128.load(at), u));
      b = f32x4.add(b, f32x4.mul(v128.load(at, 16), u));
      c = f32x4.add(c, f32x4.mul(v128.load(at, 32), u));
      d = f32x4.add(d, f32x4.mul(v128.load(at, 48), u));
      factors += hApart;
    }
    const to = z + i;
    v128.store(to, a), v128.store(to, b, 16), v128.store(to, c, 32), v128.store(to, d, 48);
  }
}

// ---- binary16 in memory -----------------------------------------------------------------------------------------

/** Four halves to binary32 but for the exponent's bias: times 2^112 they are exact. Infinities and NaN are not wanted. */
// @ts-ignore: decorator
@inline
function half(at: usize): v128 {
  const bits = v128.and(i32x4.shl(v128.load16x4_s(at), 13), i32x4.splat(0x8fffe000));
  return f32x4.mul(bits, f32x4.splat(5192296858534827628530496329220096.0));
}

/** As projectWide for one row. */
export function projectHalf(w: usize, components: i32, x: usize, n: i32, h: usize): void {
  const apart: usize = 2 * <usize>n;
  for (let k = 0; k < components; k += 4) {
    const w1 = w + apart, w2 = w1 + apart, w3 = w2 + apart;
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (let i: usize = 0; i < apart; i += 8) {
      const u = v128.load(x + 2 * i);
      a = f32x4.add(a, f32x4.mul(half(w + i), u));
      b = f32x4.add(b, f32x4.mul(half(w1 + i), u));
      c = f32x4.add(c, f32x4.mul(half(w2 + i), u));
      d = f32x4.add(d, f32x4.mul(half(w3 + i), u));
    }
    give(a, h), give(b, h + 4), give(c, h + 8), give(d, h + 12);
    h += 16;
    w += 4 * apart;
  }
}

/** As expandWide for one row. */
export function expandHalf(w: usize, components: i32, h: usize, out: i32, z: usize): void {
  const apart: usize = 2 * <usize>out;
  const end = w + apart * <usize>components;
  for (let i: usize = 0; i < apart; i += 32) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    let factors = h;
    for (let at = w + i; at < end; at += apart) {
      const u = v128.load32_splat(factors);
      a = f32x4.add(a, f32x4.mul(half(at), u));
      b = f32x4.add(b, f32x4.mul(half(at + 8), u));
      c = f32x4.add(c, f32x4.mul(half(at + 16), u));
      d = f32x4.add(d, f32x4.mul(half(at + 24), u));
      factors += 4;
    }
    const to = z + 2 * i;
    v128.store(to, a), v128.store(to, b, 16), v128.store(to, c, 32), v128.store(to, d, 48);
  }
}

/** Halves to binary32, where many rows make it worth while. */
export function widen(from: usize, count: i32, to: usize): void {
  const end = from + 2 * <usize>count;
  for (; from < end; from += 8, to += 16) v128.store(to, half(from));
}

/** y += multiplier · z. */
export function addTo(z: usize, count: i32, multiplier: f32, y: usize): void {
  const m = f32x4.splat(multiplier);
  const end = z + 4 * <usize>count;
  for (; z < end; z += 16, y += 16) v128.store(y, f32x4.add(v128.load(y), f32x4.mul(m, v128.load(z))));
}
