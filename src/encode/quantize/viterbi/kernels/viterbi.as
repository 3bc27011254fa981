// The Viterbi engine of the trellis codec in AssemblyScript with 128-bit SIMD. forward() does the operations of
// ../plain.ts one by one, so both give the same bytes. Built by src/common/wasm/build.mjs.
//
// Four states are four lanes. The 2^k windows that lead to state s are (s << k) | p. The table is laid out as [v][p][s], so
// that the errors of neighbouring s are contiguous. A window comes from state ((s << k) | p) mod S, a stride of 2^k: one
// deinterleaving (k = 1), 4 × 4 transposes (k = 2, 3) or a splat (k = 4) of the S costs gathers them, once a step.
//
// Costs are never negative, NaN or −0, so pmin is the minimum; a strict comparison keeps the lowest p on ties.
// The kernel does not use relaxed SIMD, whose results may differ between machines.

const COSTS: usize = 0; // two buffers of 128 f32
const TABLE: usize = 1024; // [v][p][s], 256 f32 for each v
const TURNED: usize = 3072; // transposed costs, 16 vectors
const RENORMALIZE: i32 = 32;

// @ts-ignore: decorator
@inline
function square(t: usize, x: v128, w: v128, weighted: bool): v128 {
  const d = f32x4.sub(x, v128.load(t));
  const s = f32x4.mul(d, d);
  return weighted ? f32x4.mul(w, s) : s;
}

/** Cost of four windows: cost of the states they come from, plus the errors of one or two weights. */
// @ts-ignore: decorator
@inline
function branch(m: v128, t: usize, x: v128, y: v128, w: v128, u: v128, two: bool, weighted: bool): v128 {
  let s = square(t, x, w, weighted);
  if (two) s = f32x4.add(s, square(t + 1024, y, u, weighted));
  return f32x4.add(m, s);
}

/** Sixteen small lanes as bytes. */
// @ts-ignore: decorator
@inline
function narrow(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

/** Writes the columns of the 4 × 4 matrix whose rows are `stride` bytes apart. */
// @ts-ignore: decorator
@inline
function transpose(from: usize, stride: usize, to: usize, toStride: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + stride);
  const c = v128.load(from + 2 * stride);
  const d = v128.load(from + 3 * stride);
  const e = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const f = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const g = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const h = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(to, i64x2.shuffle(e, f, 0, 2));
  v128.store(to + toStride, i64x2.shuffle(e, f, 1, 3));
  v128.store(to + 2 * toStride, i64x2.shuffle(g, h, 0, 2));
  v128.store(to + 3 * toStride, i64x2.shuffle(g, h, 1, 3));
}

/** k = 1, four states from byte `h` of the costs on: stores their costs, returns −1 in lanes where window 2s + 1 was better. */
// @ts-ignore: decorator
@inline
function pair(even: v128, odd: v128, h: usize, to: usize, x: v128, y: v128, w: v128, u: v128, two: bool, weighted: bool): v128 {
  const a = branch(even, TABLE + h, x, y, w, u, two, weighted);
  const b = branch(odd, TABLE + 512 + h, x, y, w, u, two, weighted);
  v128.store(to + h, f32x4.pmin(a, b));
  return f32x4.lt(b, a);
}

// @ts-ignore: decorator
@inline
function step1(from: usize, to: usize, out: usize, x: v128, y: v128, w: v128, u: v128, two: bool, weighted: bool): void {
  // 32 of the 128 source states at a time: they lead to 16 states of each half.
  for (let i: usize = 0; i < 256; i += 64) {
    const r = from + 2 * i;
    const a0 = v128.load(r), a1 = v128.load(r + 16), a2 = v128.load(r + 32), a3 = v128.load(r + 48);
    const a4 = v128.load(r + 64), a5 = v128.load(r + 80), a6 = v128.load(r + 96), a7 = v128.load(r + 112);
    const e0 = i32x4.shuffle(a0, a1, 0, 2, 4, 6), o0 = i32x4.shuffle(a0, a1, 1, 3, 5, 7);
    const e1 = i32x4.shuffle(a2, a3, 0, 2, 4, 6), o1 = i32x4.shuffle(a2, a3, 1, 3, 5, 7);
    const e2 = i32x4.shuffle(a4, a5, 0, 2, 4, 6), o2 = i32x4.shuffle(a4, a5, 1, 3, 5, 7);
    const e3 = i32x4.shuffle(a6, a7, 0, 2, 4, 6), o3 = i32x4.shuffle(a6, a7, 1, 3, 5, 7);
    for (let half: usize = 0; half < 512; half += 256) {
      const h = i + half;
      const b0 = pair(e0, o0, h, to, x, y, w, u, two, weighted);
      const b1 = pair(e1, o1, h + 16, to, x, y, w, u, two, weighted);
      const b2 = pair(e2, o2, h + 32, to, x, y, w, u, two, weighted);
      const b3 = pair(e3, o3, h + 48, to, x, y, w, u, two, weighted);
      store<u16>(out + (h >> 5), <u16>i8x16.bitmask(narrow(b0, b1, b2, b3)));
    }
  }
}

/** k = 2, four states from byte `h` of the costs on: stores their costs, returns the bits of the best p: low, then high. */
// @ts-ignore: decorator
@inline
function quad(m: usize, h: usize, to: usize, x: v128, y: v128, w: v128, u: v128, two: bool, weighted: bool): v128 {
  const a = branch(v128.load(TURNED + m), TABLE + h, x, y, w, u, two, weighted);
  const b = branch(v128.load(TURNED + m + 16), TABLE + 256 + h, x, y, w, u, two, weighted);
  const c = branch(v128.load(TURNED + m + 32), TABLE + 512 + h, x, y, w, u, two, weighted);
  const d = branch(v128.load(TURNED + m + 48), TABLE + 768 + h, x, y, w, u, two, weighted);
  const ab = f32x4.pmin(a, b);
  const cd = f32x4.pmin(c, d);
  v128.store(to + h, f32x4.pmin(ab, cd));
  const high = f32x4.lt(cd, ab);
  const low = v128.bitselect(f32x4.lt(d, c), f32x4.lt(b, a), high);
  return i16x8.narrow_i32x4_s(low, high);
}

// @ts-ignore: decorator
@inline
function step2(from: usize, to: usize, out: usize, x: v128, y: v128, w: v128, u: v128, two: bool, weighted: bool): void {
  for (let i: usize = 0; i < 256; i += 64) transpose(from + i, 16, TURNED + i, 16);
  for (let h: usize = 0; h < 256; h += 64) {
    const d0 = quad(0, h, to, x, y, w, u, two, weighted);
    const d1 = quad(64, h + 16, to, x, y, w, u, two, weighted);
    const d2 = quad(128, h + 32, to, x, y, w, u, two, weighted);
    const d3 = quad(192, h + 48, to, x, y, w, u, two, weighted);
    store<u16>(out + (h >> 4), <u16>i8x16.bitmask(i8x16.narrow_i16x8_s(d0, d1)));
    store<u16>(out + (h >> 4) + 2, <u16>i8x16.bitmask(i8x16.narrow_i16x8_s(d2, d3)));
  }
}

/** k = 3 and 4: sixteen states and all their windows. In the table, p + 1 is `row` bytes after p. */
// @ts-ignore: decorator
@inline
function sixteen(k: i32, from: usize, h: usize, to: usize, out: usize, x: v128, y: v128, w: v128, u: v128, two: bool, weighted: bool): void {
  const row: usize = 1024 >> k;
  let t = TABLE + h;
  let m = k == 4 ? v128.load32_splat(from) : v128.load(TURNED);
  let c0 = branch(m, t, x, y, w, u, two, weighted);
  let c1 = branch(m, t + 16, x, y, w, u, two, weighted);
  let c2 = branch(m, t + 32, x, y, w, u, two, weighted);
  let c3 = branch(m, t + 48, x, y, w, u, two, weighted);
  let d0 = i32x4.splat(0);
  let d1 = d0;
  let d2 = d0;
  let d3 = d0;
  let low = d0;
  for (let p: i32 = 1; p < 1 << k; p++) {
    t += row;
    low = i32x4.add(low, i32x4.splat(1));
    m = k == 4 ? v128.load32_splat(from + (<usize>p << 2)) : v128.load(TURNED + (<usize>p << 4));
    let c = branch(m, t, x, y, w, u, two, weighted);
    d0 = i32x4.max_s(d0, v128.and(f32x4.lt(c, c0), low));
    c0 = f32x4.pmin(c0, c);
    c = branch(m, t + 16, x, y, w, u, two, weighted);
    d1 = i32x4.max_s(d1, v128.and(f32x4.lt(c, c1), low));
    c1 = f32x4.pmin(c1, c);
    c = branch(m, t + 32, x, y, w, u, two, weighted);
    d2 = i32x4.max_s(d2, v128.and(f32x4.lt(c, c2), low));
    c2 = f32x4.pmin(c2, c);
    c = branch(m, t + 48, x, y, w, u, two, weighted);
    d3 = i32x4.max_s(d3, v128.and(f32x4.lt(c, c3), low));
    c3 = f32x4.pmin(c3, c);
  }
  v128.store(to + h, c0);
  v128.store(to + h + 16, c1);
  v128.store(to + h + 32, c2);
  v128.store(to + h + 48, c3);
  v128.store(out + (h >> 2), narrow(d0, d1, d2, d3));
}

/** Subtracts the lowest of `bytes / 4` costs from all. */
function renormalize(at: usize, bytes: usize): void {
  let lowest = v128.load(at);
  for (let i: usize = 16; i < bytes; i += 16) lowest = f32x4.pmin(lowest, v128.load(at + i));
  lowest = f32x4.pmin(lowest, i32x4.shuffle(lowest, lowest, 2, 3, 0, 1));
  lowest = f32x4.pmin(lowest, i32x4.shuffle(lowest, lowest, 1, 0, 3, 2));
  for (let i: usize = 0; i < bytes; i += 16) v128.store(at + i, f32x4.sub(v128.load(at + i), lowest));
}

// @ts-ignore: decorator
@inline
function run(k: i32, two: bool, weighted: bool, steps: i32, values: usize, importance: usize, out: usize): usize {
  let from = COSTS;
  let to = COSTS + 512;
  const bytes: usize = k <= 2 ? 16 : 256 >> k;
  for (let j: i32 = 0; j < steps; j++) {
    const x = v128.load32_splat(values);
    const y = two ? v128.load32_splat(values + 4) : x;
    const w = weighted ? v128.load32_splat(importance) : x;
    const u = weighted && two ? v128.load32_splat(importance + 4) : x;
    values += two ? 8 : 4;
    importance += two ? 8 : 4;
    if (k == 1) step1(from, to, out, x, y, w, u, two, weighted);
    else if (k == 2) step2(from, to, out, x, y, w, u, two, weighted);
    else {
      if (k == 3) {
        transpose(from, 32, TURNED, 16);
        transpose(from + 16, 32, TURNED + 64, 16);
        sixteen(3, from, 0, to, out, x, y, w, u, two, weighted);
        sixteen(3, from, 64, to, out, x, y, w, u, two, weighted);
      } else sixteen(4, from, 0, to, out, x, y, w, u, two, weighted);
    }
    if (j % RENORMALIZE == RENORMALIZE - 1) renormalize(to, <usize>(1024 >> k));
    const swap = from;
    from = to;
    to = swap;
    out += bytes;
  }
  return from;
}

/**
 * Runs steps of k bits and one or two weights. It reads the costs at byte 0, and returns the byte where the new ones are.
 * Returns an odd number if the kernel has no code for these parameters.
 */
export function forward(k: i32, two: bool, weighted: bool, steps: i32, values: usize, importance: usize, out: usize): usize {
  if (weighted) {
    if (k == 1) return two ? run(1, true, true, steps, values, importance, out) : run(1, false, true, steps, values, importance, out);
    if (k == 2 && !two) return run(2, false, true, steps, values, importance, out);
    if (k == 3) return two ? run(3, true, true, steps, values, importance, out) : run(3, false, true, steps, values, importance, out);
    if (k == 4 && !two) return run(4, false, true, steps, values, importance, out);
  } else {
    if (k == 1) return two ? run(1, true, false, steps, values, 0, out) : run(1, false, false, steps, values, 0, out);
    if (k == 2 && !two) return run(2, false, false, steps, values, 0, out);
    if (k == 3) return two ? run(3, true, false, steps, values, 0, out) : run(3, false, false, steps, values, 0, out);
    if (k == 4 && !two) return run(4, false, false, steps, values, 0, out);
  }
  return 1;
}
