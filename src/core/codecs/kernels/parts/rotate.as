// The rotation of clause 8.6.1 on the integers of a whole trellis vector, 128 bits at a time. The kernels that decode and that
// apply share this file; it is no kernel itself.

import { expandTrellis } from "./expand";

const MIXED: usize = 0x11800; // 64 rows of eight integers

/**
 * Three stages of butterflies on eight rows `apart` bytes from each other. Pass 0 reads bytes: rows 8 n + 0 to 8 n + 7 for one
 * n. Passes 1 and 2 read its results: rows row + 8 n for all n, where row is below 4 in pass 1 and from 4 on in pass 2.
 *
 * The sign of a row (clause 8.6.1) is minus if an odd number of the bit pairs 0 and 1, 2 and 3, 4 and 5 of its number are both
 * set. Swapped subtractions apply it at no cost. Bits 0 and 1 are both set for rows 3 and 7 of pass 0. Bit 2 is set in pass 2,
 * where the rows with bit 3 are the differences of the first stage. Bits 4 and 5 are both set for the last two rows of passes
 * 1 and 2.
 */
// @ts-ignore: decorator
@inline
function mixEight(pass: i32, from: usize, apart: usize, to: usize, toApart: usize): void {
  const a = mixed(pass, from), b = mixed(pass, from + apart);
  const c = mixed(pass, from + 2 * apart), d = mixed(pass, from + 3 * apart);
  const e = mixed(pass, from + 4 * apart), f = mixed(pass, from + 5 * apart);
  const g = mixed(pass, from + 6 * apart), h = mixed(pass, from + 7 * apart);
  const a1 = i16x8.add(a, b), c1 = i16x8.add(c, d), e1 = i16x8.add(e, f), g1 = i16x8.add(g, h);
  const b1 = pass == 2 ? i16x8.sub(b, a) : i16x8.sub(a, b), d1 = pass == 2 ? i16x8.sub(d, c) : i16x8.sub(c, d);
  const f1 = pass == 2 ? i16x8.sub(f, e) : i16x8.sub(e, f), h1 = pass == 2 ? i16x8.sub(h, g) : i16x8.sub(g, h);
  const a2 = i16x8.add(a1, c1), c2 = i16x8.sub(a1, c1), b2 = i16x8.add(b1, d1);
  const e2 = i16x8.add(e1, g1), g2 = i16x8.sub(e1, g1), f2 = i16x8.add(f1, h1);
  const d2 = pass == 0 ? i16x8.sub(d1, b1) : i16x8.sub(b1, d1), h2 = i16x8.sub(f1, h1);
  v128.store(to, i16x8.add(a2, e2));
  v128.store(to + toApart, i16x8.add(b2, f2));
  v128.store(to + 2 * toApart, i16x8.add(c2, g2));
  v128.store(to + 3 * toApart, pass == 0 ? i16x8.sub(d2, h2) : i16x8.add(d2, h2));
  v128.store(to + 4 * toApart, i16x8.sub(a2, e2));
  v128.store(to + 5 * toApart, i16x8.sub(b2, f2));
  v128.store(to + 6 * toApart, pass == 0 ? i16x8.sub(c2, g2) : i16x8.sub(g2, c2));
  v128.store(to + 7 * toApart, pass == 0 ? i16x8.add(d2, h2) : i16x8.sub(h2, d2));
}

// @ts-ignore: decorator
@inline
function mixed(pass: i32, at: usize): v128 {
  return pass == 0 ? v128.load8x8_s(at) : v128.load(at);
}

/**
 * Expands a whole trellis vector of `length` weights to bytes at `small`, and rotates it to 16-bit integers at `to`. It needs
 * at least eight columns, that is 512 weights.
 */
export function rotate(table: i32, lut: usize, codes: usize, length: i32, small: usize, to: usize): void {
  const held = load<u8>(codes - 1);
  store<u8>(codes - 1, 0);
  expandTrellis(table, lut, codes, length, small);
  store<u8>(codes - 1, held);
  const columns = length >> 6;
  const apart = <usize>columns;
  for (let column = 0; column < columns; column += 8) {
    // The last eight columns overlap those before them.
    const at = <usize>min(column, columns - 8);
    for (let row: usize = 0; row < 64; row += 8) mixEight(0, small + row * apart + at, apart, MIXED + 16 * row, 16);
    const place = to + 2 * at;
    for (let row: usize = 0; row < 4; row++) mixEight(1, MIXED + 16 * row, 128, place + 2 * row * apart, 16 * apart);
    for (let row: usize = 4; row < 8; row++) mixEight(2, MIXED + 16 * row, 128, place + 2 * row * apart, 16 * apart);
  }
  for (let i = columns << 6; i < length; i++) {
    store<i16>(to + 2 * <usize>i, <i16>(load<i8>(small + <usize>i) << 3));
  }
}
