// Packs matrices into the strips of ../dense.as: rows of up to 16 columns in binary64.

/** Rows that are transposed at a time, so that the output stays in the L1 cache. */
const BLOCK: usize = 64;

// @ts-ignore: decorator
@inline
function putPair(x: v128, y: v128, to: usize, row: usize): void {
  v128.store(to, i64x2.shuffle(x, y, 0, 2));
  v128.store(to + row, i64x2.shuffle(x, y, 1, 3));
}

/** Packs columns of f32 with a stride of `step` bytes: `rows` rows of them to rows with a stride of `row` bytes. */
export function packColumnsF32(from: usize, step: usize, rows: usize, columns: usize, to: usize, row: usize): void {
  for (; rows > BLOCK; rows -= BLOCK) {
    packBlockF32(from, step, BLOCK, columns, to, row);
    from += 4 * BLOCK;
    to += BLOCK * row;
  }
  packBlockF32(from, step, rows, columns, to, row);
}

function packBlockF32(from: usize, step: usize, rows: usize, columns: usize, to: usize, row: usize): void {
  for (let c: usize = 0; c < columns; c += 2) {
    let x = from + c * step;
    let t = to + (c << 3);
    let i = rows;
    if (c + 1 == columns) {
      for (; i > 0; i--) {
        f64.store(t, <f64>f32.load(x));
        x += 4;
        t += row;
      }
      return;
    }
    let y = x + step;
    for (; i >= 4; i -= 4) {
      const p = v128.load(x);
      const q = v128.load(y);
      putPair(f64x2.promote_low_f32x4(p), f64x2.promote_low_f32x4(q), t, row);
      const r = i64x2.shuffle(p, p, 1, 1);
      const s = i64x2.shuffle(q, q, 1, 1);
      putPair(f64x2.promote_low_f32x4(r), f64x2.promote_low_f32x4(s), t + 2 * row, row);
      x += 16;
      y += 16;
      t += 4 * row;
    }
    for (; i > 0; i--) {
      f64.store(t, <f64>f32.load(x));
      f64.store(t + 8, <f64>f32.load(y));
      x += 4;
      y += 4;
      t += row;
    }
  }
}

/** The same for columns of f64. */
export function packColumnsF64(from: usize, step: usize, rows: usize, columns: usize, to: usize, row: usize): void {
  for (; rows > BLOCK; rows -= BLOCK) {
    packBlockF64(from, step, BLOCK, columns, to, row);
    from += 8 * BLOCK;
    to += BLOCK * row;
  }
  packBlockF64(from, step, rows, columns, to, row);
}

function packBlockF64(from: usize, step: usize, rows: usize, columns: usize, to: usize, row: usize): void {
  for (let c: usize = 0; c < columns; c += 2) {
    let x = from + c * step;
    let t = to + (c << 3);
    let i = rows;
    if (c + 1 == columns) {
      for (; i > 0; i--) {
        f64.store(t, f64.load(x));
        x += 8;
        t += row;
      }
      return;
    }
    let y = x + step;
    for (; i >= 2; i -= 2) {
      putPair(v128.load(x), v128.load(y), t, row);
      x += 16;
      y += 16;
      t += 2 * row;
    }
    if (i > 0) {
      f64.store(t, f64.load(x));
      f64.store(t + 8, f64.load(y));
    }
  }
}

/** The same for rows of f32 with a stride of `step` bytes. */
export function packRowsF32(from: usize, step: usize, rows: usize, columns: usize, to: usize, row: usize): void {
  for (let i: usize = 0; i < rows; i++) {
    let c: usize = 0;
    for (; c + 4 <= columns; c += 4) {
      const x = v128.load(from + (c << 2));
      v128.store(to + (c << 3), f64x2.promote_low_f32x4(x));
      v128.store(to + (c << 3) + 16, f64x2.promote_low_f32x4(i64x2.shuffle(x, x, 1, 1)));
    }
    for (; c < columns; c++) f64.store(to + (c << 3), <f64>f32.load(from + (c << 2)));
    from += step;
    to += row;
  }
}

/** Writes zeros to columns `from` … of `rows` rows of `row` bytes. */
export function pad(to: usize, rows: usize, row: usize, from: usize): void {
  for (let i: usize = 0; i < rows; i++) {
    for (let c = from << 3; c < row; c += 8) f64.store(to + c, 0);
    to += row;
  }
}
