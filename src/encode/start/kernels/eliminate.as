/**
 * Elimination over GF(2) by the method of the four Russians: 32 columns at a time, with tables of the sums of 4 pivot rows.
 *
 * `../eliminate.ts` computes the same bits in TypeScript.
 */

/** Columns per table, entries of a table, and tables per word. */
const BITS: i32 = 4;
const ENTRIES: i32 = 1 << BITS;
const TABLES: i32 = 32 / BITS;

/** a ^= b, for the bytes of a row from `from` to `to`. */
// @ts-ignore: decorator
@inline
function add(a: usize, b: usize, from: usize, to: usize): void {
  for (let at = from; at < to; at += 16) v128.store(a + at, v128.xor(v128.load(a + at), v128.load(b + at)));
}

/** Exchanges two rows. */
function exchange(a: usize, b: usize, size: usize): void {
  for (let at: usize = 0; at < size; at += 16) {
    const x = v128.load(a + at);
    v128.store(a + at, v128.load(b + at));
    v128.store(b + at, x);
  }
}

/**
 * Brings rows into echelon form. A pivot row has no bit in the columns of the other pivots of its word.
 *
 * @param rows `[count][size]` bytes; a row is a multiple of 16 bytes
 * @param columns columns that may have a pivot
 * @param pivots output: the column of the pivot of each row, u32
 * @param tables room for 8 · 16 rows
 * @returns the number of pivots
 */
export function eliminate(rows: usize, count: i32, size: usize, columns: i32, pivots: usize, tables: usize): i32 {
  const table: usize = ENTRIES * size;
  let rank = 0;
  for (let base = 0; base < columns; base += 32) {
    const column: usize = <usize>base >> 3;
    const from: usize = column & ~15;
    const first = rank;
    const mask: u32 = columns - base >= 32 ? 0xffffffff : ((<u32>1) << (columns - base)) - 1;
    let found: u32 = 0;
    for (let i = rank; i < count && found !== mask; i++) {
      const row = rows + <usize>i * size;
      let word = load<u32>(row + column);
      let held: u32 = word & found;
      for (let k = first; k < rank; k++)
        if ((held >>> (load<u32>(pivots + (<usize>k << 2)) & 31)) & 1)
          word ^= load<u32>(rows + <usize>k * size + column);
      word &= mask & ~found;
      if (word === 0) continue;
      const bit = ctz(word);
      const to = rows + <usize>rank * size;
      for (let k = first; k < rank; k++)
        if ((held >>> (load<u32>(pivots + (<usize>k << 2)) & 31)) & 1) add(row, rows + <usize>k * size, from, size);
      if (row !== to) exchange(row, to, size);
      for (let k = first; k < rank; k++) {
        const other = rows + <usize>k * size;
        if ((load<u32>(other + column) >>> bit) & 1) add(other, to, from, size);
      }
      store<u32>(pivots + (<usize>rank << 2), <u32>base + bit);
      found |= (<u32>1) << bit;
      rank++;
    }
    // Sums of the pivot rows for 4 columns per table; a column without a pivot adds nothing.
    for (let t = 0; t < TABLES; t++) {
      const own = tables + <usize>t * table;
      memory.fill(own, 0, table);
      let bit = 1;
      for (let b = 0; b < BITS; b++, bit <<= 1) {
        let pivot = first;
        while (pivot < rank && (load<u32>(pivots + (<usize>pivot << 2)) & 31) !== <u32>(BITS * t + b)) pivot++;
        for (let g = 0; g < bit; g++) {
          const sum = own + <usize>(g + bit) * size;
          memory.copy(sum + from, own + <usize>g * size + from, size - from);
          if (pivot < rank) add(sum, rows + <usize>pivot * size, from, size);
        }
      }
    }
    for (let i = rank; i < count; i++) {
      const row = rows + <usize>i * size;
      const word = load<u32>(row + column) & found;
      if (word === 0) continue;
      const a = tables + <usize>(word & 15) * size;
      const b = tables + table + <usize>((word >>> 4) & 15) * size;
      const c = tables + 2 * table + <usize>((word >>> 8) & 15) * size;
      const d = tables + 3 * table + <usize>((word >>> 12) & 15) * size;
      const e = tables + 4 * table + <usize>((word >>> 16) & 15) * size;
      const f = tables + 5 * table + <usize>((word >>> 20) & 15) * size;
      const g = tables + 6 * table + <usize>((word >>> 24) & 15) * size;
      const h = tables + 7 * table + <usize>(word >>> 28) * size;
      for (let at = from; at < size; at += 16) {
        const ab = v128.xor(v128.load(a + at), v128.load(b + at));
        const cd = v128.xor(v128.load(c + at), v128.load(d + at));
        const ef = v128.xor(v128.load(e + at), v128.load(f + at));
        const gh = v128.xor(v128.load(g + at), v128.load(h + at));
        const sum = v128.xor(v128.xor(ab, cd), v128.xor(ef, gh));
        v128.store(row + at, v128.xor(v128.load(row + at), sum));
      }
    }
  }
  return rank;
}
