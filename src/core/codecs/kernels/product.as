// B · A in AssemblyScript with 128-bit SIMD, with the bits of ../product.ts. Built by src/common/wasm/build.mjs.
//
// It does not use relaxed SIMD, whose results may differ between machines.

/** One row of the product for 8 columns, or for one if `single`. `a` is the place of the first column in row 0 of A. */
// @ts-ignore: decorator
@inline
function productRow(b: usize, rank: i32, a: usize, apart: usize, single: bool, to: usize): void {
  let w = v128.load32_splat(b);
  let s = f32x4.mul(w, single ? v128.load32_zero(a) : v128.load(a));
  let t = single ? s : f32x4.mul(w, v128.load(a, 16));
  for (let k = 1; k < rank; k++) {
    a += apart;
    b += 4;
    w = v128.load32_splat(b);
    s = f32x4.add(s, f32x4.mul(w, single ? v128.load32_zero(a) : v128.load(a)));
    if (!single) t = f32x4.add(t, f32x4.mul(w, v128.load(a, 16)));
  }
  if (single) v128.store32_lane(to, s, 0);
  else {
    v128.store(to, s);
    v128.store(to, t, 16);
  }
}

/**
 * Rows of B · A: `out[o][i]` is b[o][0] · a[0][i], plus b[o][k] · a[k][i] for k = 1, 2, …, with each product and sum rounded
 * to binary32. B is `[rows][rank]`. Rows of A are `apart` bytes from each other, those of the output 4 · `columns` bytes.
 */
export function product(b: usize, rows: i32, rank: i32, a: usize, apart: usize, columns: i32, out: usize): void {
  const row = 4 * <usize>rank;
  const stride = 4 * <usize>columns;
  let i = 0;
  for (; i + 8 <= columns; i += 8) {
    const column = a + 4 * <usize>i;
    let to = out + 4 * <usize>i;
    let weights = b;
    let o = 0;
    for (; o + 4 <= rows; o += 4) {
      let at = column;
      let x = v128.load(at), y = v128.load(at, 16);
      let w = v128.load32_splat(weights);
      let s0 = f32x4.mul(w, x), t0 = f32x4.mul(w, y);
      w = v128.load32_splat(weights + row);
      let s1 = f32x4.mul(w, x), t1 = f32x4.mul(w, y);
      w = v128.load32_splat(weights + 2 * row);
      let s2 = f32x4.mul(w, x), t2 = f32x4.mul(w, y);
      w = v128.load32_splat(weights + 3 * row);
      let s3 = f32x4.mul(w, x), t3 = f32x4.mul(w, y);
      let next = weights;
      for (let k = 1; k < rank; k++) {
        at += apart;
        next += 4;
        x = v128.load(at);
        y = v128.load(at, 16);
        w = v128.load32_splat(next);
        s0 = f32x4.add(s0, f32x4.mul(w, x));
        t0 = f32x4.add(t0, f32x4.mul(w, y));
        w = v128.load32_splat(next + row);
        s1 = f32x4.add(s1, f32x4.mul(w, x));
        t1 = f32x4.add(t1, f32x4.mul(w, y));
        w = v128.load32_splat(next + 2 * row);
        s2 = f32x4.add(s2, f32x4.mul(w, x));
        t2 = f32x4.add(t2, f32x4.mul(w, y));
        w = v128.load32_splat(next + 3 * row);
        s3 = f32x4.add(s3, f32x4.mul(w, x));
        t3 = f32x4.add(t3, f32x4.mul(w, y));
      }
      v128.store(to, s0);
      v128.store(to, t0, 16);
      v128.store(to + stride, s1);
      v128.store(to + stride + 16, t1);
      v128.store(to + 2 * stride, s2);
      v128.store(to + 2 * stride + 16, t2);
      v128.store(to + 3 * stride, s3);
      v128.store(to + 3 * stride + 16, t3);
      to += 4 * stride;
      weights += 4 * row;
    }
    for (; o < rows; o++) {
      productRow(weights, rank, column, apart, false, to);
      to += stride;
      weights += row;
    }
  }
  for (; i < columns; i++) {
    for (let o = 0; o < rows; o++) {
      productRow(b + <usize>o * row, rank, a + 4 * <usize>i, apart, true, out + <usize>o * stride + 4 * <usize>i);
    }
  }
}
