/**
 * The contract of an engine of the dense linear algebra: the few loops over long matrices, defined to the last bit.
 *
 * Every sum starts at 0 and takes its terms one by one from the first row to the last; every product is rounded before
 * it is added (no fused operation). So an engine may work on any number of columns at a time, and the
 * WebAssembly kernel and plain TypeScript give the same bits, which a test checks. (For numbers that are not finite, one
 * may give NaN and the other Inf; encoders refuse such weights.)
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
 * A Householder QR in an engine's form. Reflector j is Hⱼ = 1 − τⱼ vⱼ vⱼᵀ with vⱼ = uⱼ / uⱼ[j]; columns are not
 * scaled in place, because that would take another pass.
 */
export interface Reflectors {
  /** uⱼ in column j, in strips (see {@link stripWidth}): zero above row j, and 0 in columns from min(rows, columns) on. */
  readonly u: Float64Array;
  /** τⱼ, min(rows, columns) of them; 0 if there was nothing to reflect. */
  readonly tau: Float64Array;
  /** R, min(rows, columns) × columns, column-major. */
  readonly r: Float64Array;
  /** vᵢᵀvⱼ for i < j at j·k + i, the rest 0. */
  readonly inner: Float64Array;
}

/** The loops. Only `rotateAll` changes matrices, and results belong to the caller. */
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
   * @param u in strips, rows × columns, as in {@link Reflectors}
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
  /**
   * X·W, from 0 and terms added one by one.
   *
   * @param w as in `subtract`
   * @returns rows × count, column-major
   */
  times(x: DenseMatrix, w: Float64Array, count: number): Float64Array;
  /** XᵀX of X = [X₁ X₂ …], matrices with equal numbers of rows; symmetric, n × n. */
  gram(matrices: readonly DenseMatrix[]): Float64Array;
  /**
   * One sweep of one-sided Jacobi rotations over all pairs p < q of columns of a k × k matrix, in order. With α = Σp², β = Σq²,
   * γ = Σpq, a pair with |γ| > {@link ORTHOGONAL}·√α·√β is rotated: p becomes c·p − s·q and q becomes s·p + c·q, in both
   * matrices. NaN counts as orthogonal: no rotation could repair it. With ζ = (β − α) / 2γ, the tangent of the smaller of the two
   * angles is ±1 / (|ζ| + √(1 + ζ²)), or ±0.5 / |ζ| beyond 1e150, where the square could overflow; c = 1 / √(1 + tangent²).
   *
   * @param rotations k × k; changes as `matrix`
   * @returns whether anything was rotated
   */
  rotateAll(matrix: Float64Array, rotations: Float64Array, k: number): boolean;
}

/** Two columns count as orthogonal if their cosine is below this: a few units of binary64. */
export const ORTHOGONAL: number = 4 * Number.EPSILON;

/** Columns of a full strip. */
export const STRIP = 16;

/** n, rounded up to a multiple of 4. */
export function padded(n: number): number {
  return (n + 3) & ~3;
}

/**
 * Number of columns, padding included, of the strip that starts with column `from`. Strips follow each other, each row by row.
 */
export function stripWidth(columns: number, from: number): number {
  return Math.min(padded(columns - from), STRIP);
}

/** Index of entry (row, column) in strips. */
export function stripIndex(rows: number, columns: number, row: number, column: number): number {
  const from = column - (column % STRIP);
  return from * rows + row * stripWidth(columns, from) + column - from;
}
