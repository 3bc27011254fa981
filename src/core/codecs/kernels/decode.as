// The decoder in AssemblyScript with 128-bit SIMD: it decodes vectors tile by tile (parts/tile.as), with the bits of the
// reference decoders. Built by src/common/wasm/build.mjs.
//
// rotate() expands and mixes whole vectors. For each long trellis vector in binary16, decode() builds a table of pairs of
// weights. turn() transposes rows in registers, for the layout [weight][component].
//
// The kernel does not use relaxed SIMD, whose results may differ between machines.

import { lookUp, prepare, tableBytes } from "./parts/expand";
import { convert } from "./parts/raw";
import { rotate } from "./parts/rotate";
import {
  BYTES, codesAt, F32, finish, prepareGroups, RAW, SCALES, SMALL, TILE, tile, TRELLIS, ZERO,
} from "./parts/tile";
export { prepare, convert, rotate };

const WEIGHTS: usize = 0xd000; // 256 or 512 entries of a trellis table in binary16
const PAIRS: usize = 0xd800; // pairs of such weights
/** Length from which trellis vectors get a table of pairs. */
const LONG: i32 = 2048;

/** Fills PAIRS for a trellis table and a scale: for each window of two steps, their two or four weights in binary16. */
function preparePairs(table: i32, lut: usize, scale: v128): void {
  const k = table <= 2 ? 1 : table == 4 ? 2 : table == 6 ? 4 : 3;
  const two = table == 1 || table == 3;
  const none = i32x4.splat(0);
  finish(SMALL, false, lut + tableBytes(table), two ? 512 : 256, none, scale, WEIGHTS);
  const all = 256 << k;
  let to = PAIRS;
  if (two) {
    for (let window = 0; window < all; window += 4) {
      const x = v128.load(WEIGHTS + 4 * <usize>(window & 0xff));
      const at = WEIGHTS + 4 * <usize>(window >> k);
      const next = v128.load64_zero(at);
      const y = k == 1 ? i32x4.shuffle(next, next, 0, 0, 1, 1) : v128.load32_splat(at);
      v128.store(to, i32x4.shuffle(x, y, 0, 4, 1, 5));
      v128.store(to, i32x4.shuffle(x, y, 2, 6, 3, 7), 16);
      to += 32;
    }
    return;
  }
  for (let window = 0; window < all; window += 8) {
    const x = v128.load(WEIGHTS + 2 * <usize>(window & 0xff));
    const at = WEIGHTS + 2 * <usize>(window >> k);
    let y = v128.load16_splat(at);
    if (k <= 2) {
      const next = v128.load64_zero(at);
      y = k == 1 ? i16x8.shuffle(next, next, 0, 0, 1, 1, 2, 2, 3, 3) : i16x8.shuffle(next, next, 0, 0, 0, 0, 1, 1, 1, 1);
    }
    v128.store(to, i16x8.shuffle(x, y, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(to, i16x8.shuffle(x, y, 4, 12, 5, 13, 6, 14, 7, 15), 16);
    to += 32;
  }
}

/** Looks up trellis codes in PAIRS. Writes up to 63 bytes more. */
function lookUpPairs(table: i32, from: usize, count: i32, to: usize): void {
  switch (table) {
    case 1:
      lookUp(1, 2, 9, 3, true, 2, PAIRS, from, 2 * count, to);
      break;
    case 2:
      lookUp(1, 2, 9, 2, true, 2, PAIRS, from, 2 * count, to);
      break;
    case 3:
      lookUp(3, 6, 11, 3, true, 6, PAIRS, from, 2 * count, to);
      break;
    case 4:
      lookUp(2, 4, 10, 2, true, 4, PAIRS, from, 2 * count, to);
      break;
    case 5:
      lookUp(3, 6, 11, 2, true, 6, PAIRS, from, 2 * count, to);
      break;
    case 6:
      lookUp(4, 8, 12, 2, false, 4, PAIRS, from, 2 * count, to);
      break;
  }
}

/** Multiplies binary32 numbers by `factor`, in place; up to three more. */
export function multiply(at: usize, count: i32, factor: f32): void {
  const factors = f32x4.splat(factor);
  const end = at + 4 * <usize>count;
  for (; at < end; at += 16) v128.store(at, f32x4.mul(v128.load(at), factors));
}

/** Adds the binary32 numbers at `other` to those at `at`, in place; up to three more. */
export function add(at: usize, count: i32, other: usize): void {
  const end = at + 4 * <usize>count;
  for (; at < end; at += 16, other += 16) v128.store(at, f32x4.add(v128.load(at), v128.load(other)));
}

// ---- layout -----------------------------------------------------------------------------------------------------

/** Transposes four rows of four weights. */
// @ts-ignore: decorator
@inline
function turnWide(from: usize, apart: usize, to: usize, to1: usize, to2: usize, to3: usize): void {
  const a = v128.load(from), b = v128.load(from + apart), c = v128.load(from + 2 * apart), d = v128.load(from + 3 * apart);
  const e = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const f = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const g = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const h = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(to, i64x2.shuffle(e, f, 0, 2));
  v128.store(to1, i64x2.shuffle(e, f, 1, 3));
  v128.store(to2, i64x2.shuffle(g, h, 0, 2));
  v128.store(to3, i64x2.shuffle(g, h, 1, 3));
}

/** Transposes four rows of eight binary16 weights. */
// @ts-ignore: decorator
@inline
function turnFourHalves(from: usize, apart: usize, to: usize, stride: usize): void {
  const a = v128.load(from), b = v128.load(from + apart), c = v128.load(from + 2 * apart), d = v128.load(from + 3 * apart);
  const e = i16x8.shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  const f = i16x8.shuffle(c, d, 0, 8, 1, 9, 2, 10, 3, 11);
  const g = i16x8.shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  const h = i16x8.shuffle(c, d, 4, 12, 5, 13, 6, 14, 7, 15);
  const w = i32x4.shuffle(e, f, 0, 4, 1, 5), x = i32x4.shuffle(e, f, 2, 6, 3, 7);
  const y = i32x4.shuffle(g, h, 0, 4, 1, 5), z = i32x4.shuffle(g, h, 2, 6, 3, 7);
  v128.store64_lane(to, w, 0);
  v128.store64_lane(to + stride, w, 1);
  v128.store64_lane(to + 2 * stride, x, 0);
  v128.store64_lane(to + 3 * stride, x, 1);
  v128.store64_lane(to + 4 * stride, y, 0);
  v128.store64_lane(to + 5 * stride, y, 1);
  v128.store64_lane(to + 6 * stride, z, 0);
  v128.store64_lane(to + 7 * stride, z, 1);
}

/** Transposes eight rows of eight binary16 weights. */
// @ts-ignore: decorator
@inline
function turnEightHalves(from: usize, apart: usize, to: usize, stride: usize): void {
  const a = v128.load(from), b = v128.load(from + apart), c = v128.load(from + 2 * apart), d = v128.load(from + 3 * apart);
  const e = v128.load(from + 4 * apart), f = v128.load(from + 5 * apart);
  const g = v128.load(from + 6 * apart), h = v128.load(from + 7 * apart);
  const a1 = i16x8.shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11), b1 = i16x8.shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  const c1 = i16x8.shuffle(c, d, 0, 8, 1, 9, 2, 10, 3, 11), d1 = i16x8.shuffle(c, d, 4, 12, 5, 13, 6, 14, 7, 15);
  const e1 = i16x8.shuffle(e, f, 0, 8, 1, 9, 2, 10, 3, 11), f1 = i16x8.shuffle(e, f, 4, 12, 5, 13, 6, 14, 7, 15);
  const g1 = i16x8.shuffle(g, h, 0, 8, 1, 9, 2, 10, 3, 11), h1 = i16x8.shuffle(g, h, 4, 12, 5, 13, 6, 14, 7, 15);
  const a2 = i32x4.shuffle(a1, c1, 0, 4, 1, 5), b2 = i32x4.shuffle(a1, c1, 2, 6, 3, 7);
  const c2 = i32x4.shuffle(b1, d1, 0, 4, 1, 5), d2 = i32x4.shuffle(b1, d1, 2, 6, 3, 7);
  const e2 = i32x4.shuffle(e1, g1, 0, 4, 1, 5), f2 = i32x4.shuffle(e1, g1, 2, 6, 3, 7);
  const g2 = i32x4.shuffle(f1, h1, 0, 4, 1, 5), h2 = i32x4.shuffle(f1, h1, 2, 6, 3, 7);
  v128.store(to, i64x2.shuffle(a2, e2, 0, 2));
  v128.store(to + stride, i64x2.shuffle(a2, e2, 1, 3));
  v128.store(to + 2 * stride, i64x2.shuffle(b2, f2, 0, 2));
  v128.store(to + 3 * stride, i64x2.shuffle(b2, f2, 1, 3));
  v128.store(to + 4 * stride, i64x2.shuffle(c2, g2, 0, 2));
  v128.store(to + 5 * stride, i64x2.shuffle(c2, g2, 1, 3));
  v128.store(to + 6 * stride, i64x2.shuffle(d2, h2, 0, 2));
  v128.store(to + 7 * stride, i64x2.shuffle(d2, h2, 1, 3));
}

/**
 * Transposes `rows` rows of `count` weights, `apart` bytes from each other: weight i of row r goes to column r of the row at
 * `to + i · stride`. Reads up to 28 bytes behind a row.
 */
export function turn(wide: bool, from: usize, apart: usize, rows: i32, count: i32, to: usize, stride: usize): void {
  const block = wide ? 4 : 8;
  const whole = count & -block;
  for (let i = 0; i < whole; i += block) {
    const column = to + <usize>i * stride;
    let at = from + (wide ? 4 : 2) * <usize>i;
    let row = 0;
    if (wide) {
      let c0 = column;
      let c1 = c0 + stride, c2 = c0 + 2 * stride, c3 = c0 + 3 * stride;
      for (; row + 16 <= rows; row += 16) {
        turnWide(at, apart, c0, c1, c2, c3);
        turnWide(at + 4 * apart, apart, c0 + 16, c1 + 16, c2 + 16, c3 + 16);
        turnWide(at + 8 * apart, apart, c0 + 32, c1 + 32, c2 + 32, c3 + 32);
        turnWide(at + 12 * apart, apart, c0 + 48, c1 + 48, c2 + 48, c3 + 48);
        at += 16 * apart;
        c0 += 64, c1 += 64, c2 += 64, c3 += 64;
      }
      for (; row + 4 <= rows; row += 4) {
        turnWide(at, apart, c0, c1, c2, c3);
        at += 4 * apart;
        c0 += 16, c1 += 16, c2 += 16, c3 += 16;
      }
    } else {
      for (; row + 8 <= rows; row += 8, at += 8 * apart) turnEightHalves(at, apart, column + 2 * <usize>row, stride);
      if (row + 4 <= rows) {
        turnFourHalves(at, apart, column + 2 * <usize>row, stride);
        row += 4;
      }
    }
    if (row < rows) turnSingly(wide, from, apart, row, rows, i, i + block, to, stride);
  }
  turnSingly(wide, from, apart, 0, rows, whole, count, to, stride);
}

function turnSingly(wide: bool, from: usize, apart: usize, first: i32, rows: i32, begin: i32, end: i32, to: usize, stride: usize): void {
  for (let row = first; row < rows; row++) {
    const at = from + <usize>row * apart;
    for (let i = begin; i < end; i++) {
      if (wide) store<u32>(to + <usize>i * stride + 4 * <usize>row, load<u32>(at + 4 * <usize>i));
      else store<u16>(to + <usize>i * stride + 2 * <usize>row, load<u16>(at + 2 * <usize>i));
    }
  }
}

// ---- the whole --------------------------------------------------------------------------------------------------

/** Decodes a part of a long trellis vector with one scale to binary16. */
function pairs(table: i32, lut: usize, source: usize, fresh: bool, from: i32, count: i32, to: usize): void {
  preparePairs(table, lut, v128.load32_splat(SCALES));
  const whole = count & -64;
  const before = source - 1;
  const held = load<u8>(before);
  if (fresh) store<u8>(before, 0);
  lookUpPairs(table, codesAt(table, source, from), whole, to);
  if (whole < count) {
    lookUpPairs(table, codesAt(table, source, from + whole), count - whole, BYTES);
    memory.copy(to + 2 * <usize>whole, BYTES, 2 * <usize>(count - whole));
  }
  store<u8>(before, held);
}

/**
 * Decodes weights from … from + count − 1 of `components` vectors. Weight 0 of the first begins at `source`, each next vector
 * `sourceStride` bytes on; scales and zero points likewise. `from` is a multiple of 1024. Writes vectors from `out` on,
 * `apart` bytes from each other.
 *
 * `bits` is the bits of codes, the type of raw values, or the number of a trellis table. The bit string of a trellis begins
 * here if `fresh`; otherwise it continues from the byte before. Reads up to 32 bytes behind planes, and the byte before codes.
 * Returns false if a scale is for the plain decoder; then the output is incomplete.
 */
export function decode(
  kind: i32, bits: i32, scaleType: i32, wide: bool,
  source: usize, sourceStride: usize, lut: usize, scales: usize, scaleStride: usize, zeros: usize, zeroStride: usize,
  group: i32, fresh: bool, from: i32, count: i32, components: i32, out: usize, apart: usize,
): bool {
  const size: usize = wide ? 4 : 2;
  const end = from + count;
  for (let c = 0; c < components; c++) {
    let done = true;
    if (kind == ZERO) memory.fill(out, 0, <usize>count * size);
    else if (kind == RAW) convert(bits, wide, source + (bits == F32 ? 4 : 2) * <usize>from, count, out);
    else if (kind == TRELLIS && !wide && count >= LONG) {
      done = prepareGroups(kind, 0, scaleType, false, scales, 0, 0, 1, 127);
      if (done) pairs(bits, lut, source, fresh, from, count, out);
    } else {
      let to = out;
      for (let i = from; i < end && done; i += TILE) {
        const n = min(TILE, end - i);
        done = tile(kind, bits, scaleType, wide, source, lut, scales, zeros, group, fresh, i, n, to);
        to += <usize>n * size;
      }
    }
    if (!done) return false;
    source += sourceStride;
    scales += scaleStride;
    zeros += zeroStride;
    out += apart;
  }
  return true;
}
