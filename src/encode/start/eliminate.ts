/**
 * Elimination over GF(2): a matrix of bits, and its echelon form by the method of the four Russians, a word of columns at a time.
 *
 * A WebAssembly kernel does it with 128-bit SIMD (`kernels/eliminate.as`); without it, the same steps in TypeScript give
 * the same bits. 20,400 × 19,968 bits take 51 MB, and 2.4 s or 25 s (Node 20, one core of a shared server, 2026-11-28).
 *
 * @module
 */
import { growTo, kernelMaker } from "../../common/wasm/kernel.ts";
import { WASM_TEXT } from "./kernels/eliminate.wasm.ts";

interface Exports {
  eliminate(
    rows: number,
    count: number,
    size: number,
    columns: number,
    pivots: number,
    tables: number,
  ): number;
}

const newKernel = kernelMaker<Exports>(WASM_TEXT);

/** Columns per table, entries of a table, and tables per word. */
const BITS = 4;
const ENTRIES = 1 << BITS;
const TABLES = 32 / BITS;

/** Rows of bits. */
export interface BitMatrix {
  /** `[count][words]`, all 0 at first; bit i of a row is bit i mod 32 of word i / 32. */
  readonly rows: Uint32Array;
  /** Brings the rows into echelon form by their first `columns` bits. @returns the pivots' columns; pivot rows come first */
  eliminate(columns: number): Uint32Array;
}

/** Makes a matrix of zeros. @param words words per row, a multiple of 4 */
export function bitMatrix(count: number, words: number): BitMatrix {
  const size = 4 * words;
  const pivotsAt = count * size;
  const tablesAt = pivotsAt + 16 * Math.ceil(count / 4);
  const kernel = newKernel();
  if (kernel === undefined || !growTo(kernel.memory, tablesAt + TABLES * ENTRIES * size))
    return plainMatrix(count, words);
  const { buffer } = kernel.memory;
  return {
    rows: new Uint32Array(buffer, 0, count * words),
    eliminate(columns) {
      const rank = kernel.eliminate(0, count, size, columns, pivotsAt, tablesAt);
      return new Uint32Array(buffer, pivotsAt, rank);
    },
  };
}

/** The same without WebAssembly. */
export function plainMatrix(count: number, words: number): BitMatrix {
  const rows = new Uint32Array(count * words);
  return { rows, eliminate: (columns) => eliminate(rows, count, words, columns) };
}

function eliminate(rows: Uint32Array, count: number, words: number, columns: number): Uint32Array {
  const pivots = new Uint32Array(count);
  const tables = new Uint32Array(TABLES * ENTRIES * words);
  const exchanged = new Uint32Array(words);
  let rank = 0;
  const add = (a: number, b: number, from: number): void => {
    for (let w = from; w < words; w++) rows[a + w]! ^= rows[b + w]!;
  };
  for (let word = 0; 32 * word < columns; word++) {
    const first = rank;
    const left = columns - 32 * word;
    const mask = left >= 32 ? -1 : (1 << left) - 1;
    let found = 0;
    for (let i = rank; i < count && found !== mask; i++) {
      const row = i * words;
      const held = rows[row + word]! & found;
      let own = rows[row + word]!;
      for (let k = first; k < rank; k++) if ((held >>> (pivots[k]! & 31)) & 1) own ^= rows[k * words + word]!;
      own &= mask & ~found;
      if (own === 0) continue;
      const bit = 31 - Math.clz32(own & -own);
      const to = rank * words;
      for (let k = first; k < rank; k++) if ((held >>> (pivots[k]! & 31)) & 1) add(row, k * words, word);
      if (row !== to) {
        exchanged.set(rows.subarray(to, to + words));
        rows.copyWithin(to, row, row + words);
        rows.set(exchanged, row);
      }
      for (let k = first; k < rank; k++) if ((rows[k * words + word]! >>> bit) & 1) add(k * words, to, word);
      pivots[rank++] = 32 * word + bit;
      found |= 1 << bit;
    }
    fillTables(tables, rows, words, word, pivots.subarray(first, rank), first);
    for (let i = rank; i < count; i++) {
      const own = rows[i * words + word]! & found;
      if (own === 0) continue;
      for (let t = 0; t < TABLES; t += 2) {
        const x = (t * ENTRIES + ((own >>> (BITS * t)) & (ENTRIES - 1))) * words;
        const y = ((t + 1) * ENTRIES + ((own >>> (BITS * (t + 1))) & (ENTRIES - 1))) * words;
        for (let w = word, at = i * words + word; w < words; w++, at++)
          rows[at]! ^= tables[x + w]! ^ tables[y + w]!;
      }
    }
  }
  return pivots.subarray(0, rank);
}

/** Sums of the pivot rows for {@link BITS} columns per table; a column without a pivot adds nothing. */
function fillTables(
  tables: Uint32Array,
  rows: Uint32Array,
  words: number,
  from: number,
  pivots: Uint32Array,
  first: number,
): void {
  tables.fill(0);
  for (let column = 0; column < 32; column++) {
    const k = pivots.findIndex((pivot) => (pivot & 31) === column);
    const own = Math.floor(column / BITS) * ENTRIES;
    const bit = 1 << (column % BITS);
    for (let g = 0; g < bit; g++) {
      const [base, sum] = [(own + g) * words, (own + g + bit) * words];
      for (let w = from; w < words; w++)
        tables[sum + w] = tables[base + w]! ^ (k < 0 ? 0 : rows[(first + k) * words + w]!);
    }
  }
}
