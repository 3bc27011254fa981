// The transform of spec clause 8.6.1 on rows of binary32: rotates activations in place of weights (../../rotating.ts).

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
