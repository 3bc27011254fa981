// The inner loops of QR, of Q · C and of Gram matrices in AssemblyScript with 128-bit SIMD: the same operations as
// ../plain-engine.ts, so both give the same bits (contract: ../engine.ts). Built by src/common/wasm/build.mjs.
//
// Matrices are in strips of up to 16 columns, row by row; zeros pad the last strip to a multiple of 4 columns. Lanes
// are neighbouring columns, never parts of one sum, so every sum runs from the first row to the last as in plain code.
// No relaxed SIMD: its results may differ between machines.

/** Bytes of a row of a full strip. */
const FULL: usize = 128;

// @ts-ignore: decorator
@inline
function stripBytes(columns: usize): usize {
  return columns >= 16 ? FULL : ((columns + 3) & ~3) << 3;
}

export { rotateAll } from "./parts/rotations";
export { packColumnsF32, packColumnsF64, packRowsF32, pad } from "./parts/strips";

// ---- QR -------------------------------------------------------------------------------------------------------------

/** Updates two columns of a row unless they are left of `first`, then adds their products with p to a sum. */
// @ts-ignore: decorator
@inline
function step(vector: i32, first: i32, row: usize, u: v128, p: v128, w: usize, m: v128, n: v128, sum: v128): v128 {
  const at = row + (<usize>vector << 4);
  let x = v128.load(at);
  if (vector >= first) {
    let d = f64x2.mul(u, v128.load(w + (<usize>vector << 4)));
    if (vector == first) d = v128.and(m, d);
    if (vector == first + 1) d = v128.and(n, d);
    x = f64x2.sub(x, d);
    v128.store(at, x);
  }
  return f64x2.add(sum, f64x2.mul(p, x));
}

/**
 * One pass over `count` rows of a strip of `vectors` vectors: x −= u·w from vector `first` on, then sums += p·x.
 * u and p are columns; p is the one after the update (its weight is `wp`).
 */
// @ts-ignore: decorator
@inline
function pass(vectors: i32, first: i32, row: usize, count: usize, uAt: usize, uRow: usize, pAt: usize, pRow: usize, wp: f64, w: usize, mask: usize, sums: usize): void {
  const bytes: usize = <usize>vectors << 4;
  const m = v128.load(mask);
  const n = v128.load(mask + 16);
  let a0 = v128.load(sums);
  let a1 = v128.load(sums + 16);
  let a2 = vectors > 2 ? v128.load(sums + 32) : a0;
  let a3 = vectors > 2 ? v128.load(sums + 48) : a0;
  let a4 = vectors > 4 ? v128.load(sums + 64) : a0;
  let a5 = vectors > 4 ? v128.load(sums + 80) : a0;
  let a6 = vectors > 6 ? v128.load(sums + 96) : a0;
  let a7 = vectors > 6 ? v128.load(sums + 112) : a0;
  for (const end = row + count * bytes; row < end; row += bytes) {
    const us = f64.load(uAt);
    const u = f64x2.splat(us);
    const p = f64x2.splat(f64.load(pAt) - us * wp);
    a0 = step(0, first, row, u, p, w, m, n, a0);
    a1 = step(1, first, row, u, p, w, m, n, a1);
    if (vectors > 2) {
      a2 = step(2, first, row, u, p, w, m, n, a2);
      a3 = step(3, first, row, u, p, w, m, n, a3);
    }
    if (vectors > 4) {
      a4 = step(4, first, row, u, p, w, m, n, a4);
      a5 = step(5, first, row, u, p, w, m, n, a5);
    }
    if (vectors > 6) {
      a6 = step(6, first, row, u, p, w, m, n, a6);
      a7 = step(7, first, row, u, p, w, m, n, a7);
    }
    uAt += uRow;
    pAt += pRow;
  }
  v128.store(sums, a0);
  v128.store(sums + 16, a1);
  if (vectors > 2) {
    v128.store(sums + 32, a2);
    v128.store(sums + 48, a3);
  }
  if (vectors > 4) {
    v128.store(sums + 64, a4);
    v128.store(sums + 80, a5);
  }
  if (vectors > 6) {
    v128.store(sums + 96, a6);
    v128.store(sums + 112, a7);
  }
}

function anyPass(bytes: usize, first: usize, row: usize, count: usize, uAt: usize, uRow: usize, pAt: usize, pRow: usize, wp: f64, w: usize, mask: usize, sums: usize): void {
  if (bytes == 128) {
    if (first == 0) pass(8, 0, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
    else if (first == 2) pass(8, 2, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
    else if (first == 4) pass(8, 4, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
    else if (first == 6) pass(8, 6, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
    else pass(8, 8, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
  } else if (bytes == 96) {
    if (first == 0) pass(6, 0, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
    else if (first == 2) pass(6, 2, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
    else if (first == 4) pass(6, 4, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
    else pass(6, 8, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
  } else if (bytes == 64) {
    if (first == 0) pass(4, 0, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
    else if (first == 2) pass(4, 2, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
    else pass(4, 8, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
  } else {
    if (first == 0) pass(2, 0, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
    else pass(2, 8, row, count, uAt, uRow, pAt, pRow, wp, w, mask, sums);
  }
}

/** Address of column c in row 0. */
// @ts-ignore: decorator
@inline
function columnAt(x: usize, rows: usize, columns: usize, c: usize): usize {
  return x + (c >> 4) * rows * FULL + ((c & 15) << 3);
}

// @ts-ignore: decorator
@inline
function rowBytes(columns: usize, c: usize): usize {
  return stripBytes(columns - (c & ~15));
}

/**
 * Householder QR in place: afterwards column j is u_j, zero above row j, and R is in `r` (k × columns, by columns).
 * `tau` takes k numbers, `inner` the products v_cᵀv_j, c < j, at j·k + c. `scratch` is 2 rows of all strips and 32 bytes.
 */
export function factor(x: usize, rows: usize, columns: usize, tau: usize, r: usize, inner: usize, scratch: usize): void {
  const k = min(rows, columns);
  const width = ((columns + 3) & ~3) << 3;
  const sums = scratch + 32;
  const w = sums + width;
  memory.fill(sums, 0, 2 * width);
  // Sums of the products with column 0; nothing has to be updated yet.
  sweep(x, rows, columns, columns, 0, 1, scratch, w, sums);
  for (let j: usize = 0; j < k; j++) {
    const top = columnAt(x, rows, columns, j) + j * rowBytes(columns, j);
    const pivot = f64.load(top);
    const tail = f64.load(sums + (j << 3));
    let diagonal = pivot;
    let head = 1.0;
    let t = 0.0;
    if (tail != 0) {
      const norm = sqrt(pivot * pivot + tail);
      diagonal = pivot >= 0 ? -norm : norm;
      head = pivot - diagonal;
      t = -head / diagonal;
    }
    const inverse = 1.0 / head;
    f64.store(tau + (j << 3), t);
    f64.store(r + ((j * k + j) << 3), diagonal);
    f64.store(top, head);
    for (let c: usize = 0; c < j; c++) {
      const entry = f64.load(columnAt(x, rows, columns, c) + j * rowBytes(columns, c));
      const other = 1.0 / f64.load(columnAt(x, rows, columns, c) + c * rowBytes(columns, c));
      f64.store(inner + ((j * k + c) << 3), (entry + f64.load(sums + (c << 3)) * inverse) * other);
    }
    for (let c = j + 1; c < columns; c++) {
      // Row j of the columns to the right belongs to R.
      const entry = columnAt(x, rows, columns, c) + j * rowBytes(columns, c);
      const weight = t * (f64.load(entry) + f64.load(sums + (c << 3)) * inverse);
      f64.store(w + (c << 3), weight * inverse);
      f64.store(r + ((c * k + j) << 3), f64.load(entry) - weight);
      f64.store(entry, 0);
    }
    if (j + 1 < k) {
      memory.fill(sums, 0, width);
      sweep(x, rows, columns, j, j + 1, j + 2, scratch, w, sums);
    }
  }
}

/**
 * Updates the rows below row j by u_j and, from row `start` on, sums the products of column p with all columns.
 * If j = columns, nothing is updated.
 */
function sweep(x: usize, rows: usize, columns: usize, j: usize, p: usize, start: usize, scratch: usize, w: usize, sums: usize): void {
  const strips = (columns + 15) >> 4;
  // The strip of p first: afterwards p is up to date for the others.
  const head = p >> 4;
  const pAt = columnAt(x, rows, columns, p);
  const pRow = rowBytes(columns, p);
  const uAt = columnAt(x, rows, columns, j < columns ? j : p);
  const uRow = rowBytes(columns, j < columns ? j : p);
  for (let turn: usize = 0; turn < strips; turn++) {
    const q = turn == 0 ? head : turn <= head ? turn - 1 : turn;
    const row = rowBytes(columns, q << 4);
    const at = x + q * rows * FULL;
    const left = q << 4;
    // Vectors from the one on that holds a column right of j, in steps of two vectors.
    const first: usize = j >= left + 16 || j >= columns ? 8 : j < left ? 0 : ((j - left) >> 2) << 1;
    for (let lane: usize = 0; lane < 4; lane++) {
      const c = left + 2 * first + lane;
      i64.store(scratch + (lane << 3), j >= columns || c > j ? -1 : 0);
    }
    const wp = turn == 0 && j < columns ? f64.load(w + (p << 3)) : 0;
    const wq = w + (q << 7);
    const sq = sums + (q << 7);
    if (j < columns) {
      // Row p is updated, but it is the head of the next reflector and so not part of the sums.
      anyPass(row, first, at + p * row, 1, uAt + p * uRow, uRow, pAt + p * pRow, pRow, wp, wq, scratch, sq);
      memory.fill(sq, 0, row);
    }
    if (start < rows) anyPass(row, first, at + start * row, rows - start, uAt + start * uRow, uRow, pAt + start * pRow, pRow, wp, wq, scratch, sq);
  }
}

// ---- [C; 0] − U · W -------------------------------------------------------------------------------------------------

/** A tile of two rows or one, 8 columns or 4. C and W are by rows of `wRow` bytes; C has `cRows` rows. */
// @ts-ignore: decorator
@inline
function tile(two: bool, eight: bool, u: usize, rows: usize, columns: usize, i: usize, c: usize, cRows: usize, w: usize, wRow: usize, out: usize): void {
  const outColumn = rows << 3;
  const zero = f64x2.splat(0);
  let a0 = zero, a1 = zero, a2 = zero, a3 = zero;
  let b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  if (i < cRows) {
    const from = c + i * wRow;
    a0 = v128.load(from);
    a1 = v128.load(from + 16);
    if (eight) {
      a2 = v128.load(from + 32);
      a3 = v128.load(from + 48);
    }
  }
  if (two && i + 1 < cRows) {
    const from = c + (i + 1) * wRow;
    b0 = v128.load(from);
    b1 = v128.load(from + 16);
    if (eight) {
      b2 = v128.load(from + 32);
      b3 = v128.load(from + 48);
    }
  }
  for (let from: usize = 0; from < columns; from += 16) {
    const bytes = stripBytes(columns - from);
    let at = u + from * (rows << 3) + i * bytes;
    for (const end = at + bytes; at < end; at += 16) {
      for (let l: usize = 0; l < 16; l += 8) {
        const x = v128.load64_splat(at + l);
        const y = two ? v128.load64_splat(at + l + bytes) : zero;
        const w0 = v128.load(w);
        const w1 = v128.load(w + 16);
        a0 = f64x2.sub(a0, f64x2.mul(x, w0));
        a1 = f64x2.sub(a1, f64x2.mul(x, w1));
        if (two) {
          b0 = f64x2.sub(b0, f64x2.mul(y, w0));
          b1 = f64x2.sub(b1, f64x2.mul(y, w1));
        }
        if (eight) {
          const w2 = v128.load(w + 32);
          const w3 = v128.load(w + 48);
          a2 = f64x2.sub(a2, f64x2.mul(x, w2));
          a3 = f64x2.sub(a3, f64x2.mul(x, w3));
          if (two) {
            b2 = f64x2.sub(b2, f64x2.mul(y, w2));
            b3 = f64x2.sub(b3, f64x2.mul(y, w3));
          }
        }
        w += wRow;
      }
    }
  }
  const to = out + (i << 3);
  putColumns(two, to, outColumn, a0, b0);
  putColumns(two, to + 2 * outColumn, outColumn, a1, b1);
  if (eight) {
    putColumns(two, to + 4 * outColumn, outColumn, a2, b2);
    putColumns(two, to + 6 * outColumn, outColumn, a3, b3);
  }
}

// @ts-ignore: decorator
@inline
function putColumns(two: bool, to: usize, column: usize, a: v128, b: v128): void {
  if (two) {
    v128.store(to, i64x2.shuffle(a, b, 0, 2));
    v128.store(to + column, i64x2.shuffle(a, b, 1, 3));
  } else {
    f64.store(to, f64x2.extract_lane(a, 0));
    f64.store(to + column, f64x2.extract_lane(a, 1));
  }
}

/**
 * out = [C; 0] − U · W, `count` columns (a multiple of 4), by columns. U is in strips; W has as many rows as U has columns,
 * padding included.
 */
export function subtract(u: usize, rows: usize, columns: usize, c: usize, cRows: usize, w: usize, count: usize, out: usize): void {
  const wRow = count << 3;
  const even = rows & ~1;
  let from: usize = 0;
  for (; from + 8 <= count; from += 8) {
    for (let i: usize = 0; i < even; i += 2) tile(true, true, u, rows, columns, i, c, cRows, w, wRow, out);
    if (even < rows) tile(false, true, u, rows, columns, even, c, cRows, w, wRow, out);
    c += 64;
    w += 64;
    out += rows << 6;
  }
  if (from < count) {
    for (let i: usize = 0; i < even; i += 2) tile(true, false, u, rows, columns, i, c, cRows, w, wRow, out);
    if (even < rows) tile(false, false, u, rows, columns, even, c, cRows, w, wRow, out);
  }
}

// ---- Gram matrices --------------------------------------------------------------------------------------------------

/** g += XᵀX on and above the diagonal of 4 × 4 tiles: rows of X and of g have `row` bytes, a multiple of 32. */
export function gram(x: usize, rows: usize, row: usize, g: usize): void {
  const end = x + rows * row;
  for (let p: usize = 0; p < row; p += 32) {
    const up = g + (p >> 3) * row;
    for (let q = p; q < row; q += 32) {
      const to = up + q;
      let a0 = v128.load(to), a1 = v128.load(to + 16);
      let b0 = v128.load(to + row), b1 = v128.load(to + row + 16);
      let c0 = v128.load(to + 2 * row), c1 = v128.load(to + 2 * row + 16);
      let d0 = v128.load(to + 3 * row), d1 = v128.load(to + 3 * row + 16);
      for (let at = x; at < end; at += row) {
        const y0 = v128.load(at + q);
        const y1 = v128.load(at + q + 16);
        const s = v128.load64_splat(at + p);
        a0 = f64x2.add(a0, f64x2.mul(s, y0));
        a1 = f64x2.add(a1, f64x2.mul(s, y1));
        const t = v128.load64_splat(at + p, 8);
        b0 = f64x2.add(b0, f64x2.mul(t, y0));
        b1 = f64x2.add(b1, f64x2.mul(t, y1));
        const u = v128.load64_splat(at + p, 16);
        c0 = f64x2.add(c0, f64x2.mul(u, y0));
        c1 = f64x2.add(c1, f64x2.mul(u, y1));
        const v = v128.load64_splat(at + p, 24);
        d0 = f64x2.add(d0, f64x2.mul(v, y0));
        d1 = f64x2.add(d1, f64x2.mul(v, y1));
      }
      v128.store(to, a0), v128.store(to + 16, a1);
      v128.store(to + row, b0), v128.store(to + row + 16, b1);
      v128.store(to + 2 * row, c0), v128.store(to + 2 * row + 16, c1);
      v128.store(to + 3 * row, d0), v128.store(to + 3 * row + 16, d1);
    }
  }
}
