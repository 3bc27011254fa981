// The first stage of tile.as: codes of some bits, or a trellis' bits, to bytes. The kernels that decode and that apply share this
// file; it is no kernel itself.

const MASKS: usize = 0; // masks of expandCodes, a fixed place in the memory of each kernel

/** Expands `count` codes of `bits` bits to bytes; writes up to 127 bytes more, reads up to 30 bytes more. */
export function expandCodes(bits: i32, from: usize, count: i32, to: usize): void {
  const end = to + <usize>count;
  if (bits == 1) {
    const bit = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
    const one = i8x16.splat(1);
    for (; to < end; to += 64, from += 8) {
      const x = v128.load64_zero(from);
      v128.store(to, i8x16.min_u(v128.and(i8x16.shuffle(x, x, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1), bit), one));
      v128.store(to, i8x16.min_u(v128.and(i8x16.shuffle(x, x, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3), bit), one), 16);
      v128.store(to, i8x16.min_u(v128.and(i8x16.shuffle(x, x, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5), bit), one), 32);
      v128.store(to, i8x16.min_u(v128.and(i8x16.shuffle(x, x, 6, 6, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7), bit), one), 48);
    }
  } else if (bits == 2) {
    const mask = i8x16.splat(3);
    for (; to < end; to += 64, from += 16) {
      const x = v128.load(from);
      const a = v128.and(x, mask), b = v128.and(i16x8.shr_u(x, 2), mask);
      const c = v128.and(i16x8.shr_u(x, 4), mask), d = v128.and(i16x8.shr_u(x, 6), mask);
      const ab = i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const AB = i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const cd = i8x16.shuffle(c, d, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const CD = i8x16.shuffle(c, d, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      v128.store(to, i16x8.shuffle(ab, cd, 0, 8, 1, 9, 2, 10, 3, 11));
      v128.store(to, i16x8.shuffle(ab, cd, 4, 12, 5, 13, 6, 14, 7, 15), 16);
      v128.store(to, i16x8.shuffle(AB, CD, 0, 8, 1, 9, 2, 10, 3, 11), 32);
      v128.store(to, i16x8.shuffle(AB, CD, 4, 12, 5, 13, 6, 14, 7, 15), 48);
    }
  } else if (bits == 4) {
    const mask = i8x16.splat(15);
    for (; to < end; to += 32, from += 16) {
      const x = v128.load(from);
      const a = v128.and(x, mask), b = v128.and(i16x8.shr_u(x, 4), mask);
      v128.store(to, i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
      v128.store(to, i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), 16);
    }
  } else {
    // Code i begins at bit i·bits: take the two bytes that it may touch as 16 bits, shift it to the top, then down.
    for (let i = 0; i < 8; i++) {
      const bit = <i32>i * bits;
      store<u16>(MASKS + 2 * <usize>i, <u16>((bit >> 3) * 0x101 + 0x100));
      store<u16>(MASKS + 16 + 2 * <usize>i, <u16>(<i32>1 << (16 - bits - (bit & 7))));
    }
    const pick = v128.load(MASKS);
    const move = v128.load(MASKS, 16);
    const down = 16 - bits;
    for (; to < end; to += 16) {
      const x = i16x8.shr_u(i16x8.mul(i8x16.swizzle(v128.load(from), pick), move), down);
      const y = i16x8.shr_u(i16x8.mul(i8x16.swizzle(v128.load(from + <usize>bits), pick), move), down);
      v128.store(to, i8x16.narrow_i16x8_u(x, y));
      from += 2 * <usize>bits;
    }
  }
}

/** Copies one table entry of 2^`log` bytes; its index is the bits of `word` from bit `at` on. */
// @ts-ignore: decorator
@inline
function lookOne(word: u64, at: i32, log: i32, mask: i32, lut: usize, to: usize): void {
  const down = at - log;
  const index = lut + <usize>(<i32>(down >= 0 ? word >> down : word << -down) & mask);
  if (log == 3) store<u64>(to, load<u64>(index));
  else if (log == 2) store<u32>(to, load<u32>(index));
  else store<u16>(to, load<u16>(index));
}

/**
 * Looks up trellis codes in a table: eight or four entries of 2^`log` bytes for each `bytes` bytes of codes, until it has
 * written `count` bytes, or up to 63 more. The first window has k of its bits in the byte at `from`, the others in the byte
 * before. Reads up to 14 bytes more.
 */
// @ts-ignore: decorator
@inline
export function lookUp(k: i32, shift: i32, width: i32, log: i32, eight: bool, bytes: usize, lut: usize, from: usize, count: i32, to: usize): void {
  const mask = ((1 << width) - 1) << log;
  const each: usize = 1 << log;
  const end = to + <usize>count;
  for (from--; to < end; from += bytes) {
    const word = load<u64>(from);
    lookOne(word, k, log, mask, lut, to);
    lookOne(word, k + shift, log, mask, lut, to + each);
    lookOne(word, k + 2 * shift, log, mask, lut, to + 2 * each);
    lookOne(word, k + 3 * shift, log, mask, lut, to + 3 * each);
    if (eight) {
      lookOne(word, k + 4 * shift, log, mask, lut, to + 4 * each);
      lookOne(word, k + 5 * shift, log, mask, lut, to + 5 * each);
      lookOne(word, k + 6 * shift, log, mask, lut, to + 6 * each);
      lookOne(word, k + 7 * shift, log, mask, lut, to + 7 * each);
    }
    to += eight ? 8 * each : 4 * each;
  }
}

export function expandTrellis(table: i32, lut: usize, from: usize, count: i32, to: usize): void {
  switch (table) {
    case 1:
      lookUp(1, 4, 11, 3, true, 4, lut, from, count, to);
      break;
    case 2:
      lookUp(1, 4, 11, 2, true, 4, lut, from, count, to);
      break;
    case 3:
      lookUp(3, 6, 11, 2, true, 6, lut, from, count, to);
      break;
    case 4:
      lookUp(2, 4, 10, 1, true, 4, lut, from, count, to);
      break;
    case 5:
      lookUp(3, 6, 11, 1, true, 6, lut, from, count, to);
      break;
    case 6:
      lookUp(4, 8, 12, 1, false, 4, lut, from, count, to);
      break;
  }
}

/** Bytes of the table of a trellis; its entries are behind it. */
// @ts-ignore: decorator
@inline
export function tableBytes(table: i32): usize {
  return table == 1 ? 0x4000 : table == 4 ? 0x800 : table == 5 ? 0x1000 : 0x2000;
}

/** Fills the table of `steps` steps at `lut` from the 256 · `weights` entries at `entries`, and copies these behind it. */
export function prepare(entries: usize, stepBits: i32, weights: i32, steps: i32, lut: usize): void {
  const all = 1 << (8 + (steps - 1) * stepBits);
  for (let window = 0; window < all; window++) {
    for (let t = 0; t < steps; t++) {
      const entry = entries + <usize>(((window >> (t * stepBits)) & 0xff) * weights);
      for (let v = 0; v < weights; v++) store<i8>(lut++, load<i8>(entry + <usize>v));
    }
  }
  memory.copy(lut, entries, <usize>(256 * weights));
}
