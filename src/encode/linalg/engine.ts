/**
 * What an engine of the dense linear algebra is: the few loops over long matrices, with one definition of every bit.
 *
 * Every sum starts at 0 and takes its terms one by one from the first row to the last; every product is rounded before
 * it is added (no fused operation). So it does not matter how many columns an engine works on at a time, and the
 * WebAssembly kernel and plain TypeScript give the same bits, which a test checks. (Where numbers are not finite, they
 * may differ in whether NaN or Inf comes out; encoders refuse such weights.)
 *
 * @module
 */

/** A rows × columns matrix without gaps, column after column or row after row. */
export type DenseMatrix = {
  readonly rows: number;
  readonly columns: number;
} & (
  | { readonly order: "columns"; readonly values: Float64Array | Float32Array }
  | { readonly order: "rows"; readonly values: Float32Array }
);

/**
 * A Householder QR as an engine leaves it. Reflector j is Hⱼ = 1 − τⱼ vⱼ vⱼᵀ with vⱼ = uⱼ / uⱼ[j]; columns are not
 * scaled in place, which would be another pass over them.
 */
export interface Reflectors {
  /** uⱼ in column j, in strips (see {@link stripWidth}): zero above row j, and 0 in columns from min(rows, columns) on. */
  readonly u: Float64Array;
  /** τⱼ, min(rows, columns) of them; 0 where nothing had to be reflected. */
  readonly tau: Float64Array;
  /** R, min(rows, columns) × columns, column-major. */
  readonly r: Float64Array;
  /** vᵢᵀvⱼ for i < j at j·k + i, the rest 0. */
  readonly inner: Float64Array;
}

/** The loops. Matrices are not changed, and results belong to the caller. */
export interface DenseEngine {
  /**
   * Householder QR. With x the matrix so far, sⱼ[c] = Σ x[i][j]·x[i][c] over rows i > j, step j is:
   *
   * - where sⱼ[j] is 0: uⱼ[j] = 1, τ = 0, d = x[j][j]; otherwise d = ∓√(x[j][j]² + sⱼ[j]), with the sign that adds
   *   magnitudes, uⱼ[j] = x[j][j] − d, τ = −uⱼ[j] / d;
   * - h = 1 / uⱼ[j], R[j][j] = d;
   * - c < j: vcᵀvⱼ = (x[j][c] + sⱼ[c]·h)·(1 / uc[c]);
   * - c > j: w = τ·(x[j][c] + sⱼ[c]·h), R[j][c] = x[j][c] − w, and x[i][c] −= uⱼ[i]·(w·h) for i > j.
   */
  factor(matrix: DenseMatrix): Reflectors;
  /**
   * [C; 0] − U·W, terms subtracted one by one.
   *
   * @param u in strips, rows × columns
   * @param c by rows, `cRows` × count, count rounded up to a multiple of 4 (the rest 0)
   * @param w by rows, columns × count, both rounded up to multiples of 4 (the rest 0)
   * @returns rows × count, column-major
   */
  subtract(
    u: Float64Array,
    rows: number,
    columns: number,
    c: Float64Array,
    cRows: number,
    w: Float64Array,
    count: number,
  ): Float64Array;
  /** XᵀX of X = [X₁ X₂ …], matrices of equally many rows; symmetric, n × n. */
  gram(matrices: readonly DenseMatrix[]): Float64Array;
}

/** Columns of a full strip. */
export const STRIP = 16;

/** n, rounded up to a multiple of 4. */
export function padded(n: number): number {
  return (n + 3) & ~3;
}

/**
 * Columns, padding included, of the strip that starts with column `from`. Strips lie one after the other, each row after row.
 */
export function stripWidth(columns: number, from: number): number {
  return Math.min(padded(columns - from), STRIP);
}

/** Index of entry (row, column) in strips. */
export function stripIndex(rows: number, columns: number, row: number, column: number): number {
  const from = column - (column % STRIP);
  return from * rows + row * stripWidth(columns, from) + column - from;
}
