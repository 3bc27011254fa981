/**
 * One-sided Jacobi SVD of a small matrix: `X = U · diag(s) · Vᵀ` (Hestenes 1958).
 *
 * Columns are rotated pairwise until all are orthogonal, which gives small singular values to high relative
 * accuracy and, with a fixed order of pairs, the same bits on every engine. The rotations work on Rᵀ of a QR with
 * columns sorted by length (Drmač and Veselić 2008), which keeps steep spectra from needing more sweeps: rank 256
 * with singular values falling by half a component takes 5 instead of 39. At most {@link MAX_SWEEPS} sweeps, so NaN,
 * Inf and rank 4096 end too.
 *
 * Column-major throughout. Singular values descend; equal ones keep a fixed order.
 *
 * @module
 */
import { denseEngine } from "./dense.ts";
import { applyQ, householderQr } from "./qr.ts";
import { dot } from "./vectors.ts";

/**
 * A singular value decomposition; k = min(rows, columns). If a singular value is exactly 0, the column of the
 * shorter of U and V (of V if square) is zero rather than a unit vector.
 */
export interface Svd {
  readonly k: number;
  /** rows × k. */
  readonly u: Float64Array;
  /** k values, descending. */
  readonly s: Float64Array;
  /** columns × k. */
  readonly v: Float64Array;
}

/** Most sweeps. Random, steep and rank-deficient matrices of rank 16 to 256 need 4 to 10. */
const MAX_SWEEPS = 40;

/** Decomposes a rows × columns matrix. The input is not changed. */
export function jacobiSvd(matrix: Float64Array, rows: number, columns: number): Svd {
  if (rows < columns) {
    const { k, u, s, v } = jacobiSvd(transposeColumns(matrix, rows, columns), columns, rows);
    return { k, u: v, s, v: u };
  }
  const k = columns;
  const power = balancingPower(matrix);
  const scaled = matrix.map((x) => x * power);
  const columnOrder = byLength(scaled, rows, k);
  const qr = householderQr(permute(scaled, rows, columnOrder), rows, k);
  // X·P = Q·R and Rᵀ·J = V̂·S with J orthogonal, so X = (Q·J)·S·(P·V̂)ᵀ.
  const work = transposeColumns(qr.r, k, k);
  const rotations = new Float64Array(k * k);
  for (let i = 0; i < k; i++) rotations[i * k + i] = 1;
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    if (!denseEngine().rotateAll(work, rotations, k)) break;
  }
  const order = byLength(work, k, k);
  const sorted = permute(work, k, order);
  const s = new Float64Array(k);
  const v = new Float64Array(k * k);
  for (let j = 0; j < k; j++) {
    const length = Math.sqrt(dot(sorted, j * k, sorted, j * k, k));
    s[j] = length / power;
    if (length === 0) continue;
    for (let i = 0; i < k; i++) v[j * k + columnOrder[i]!] = sorted[j * k + i]! / length;
  }
  return { k, u: applyQ(qr, permute(rotations, k, order), k), s, v };
}

/** Indices of the columns, longest first; equal ones keep their order. */
function byLength(x: Float64Array, rows: number, columns: number): number[] {
  const squares = Array.from({ length: columns }, (_, j) => dot(x, j * rows, x, j * rows, rows));
  return squares.map((_, j) => j).sort((p, q) => squares[q]! - squares[p]! || p - q);
}

function permute(x: Float64Array, rows: number, order: readonly number[]): Float64Array {
  const out = new Float64Array(x.length);
  for (const [to, from] of order.entries()) out.set(x.subarray(from * rows, (from + 1) * rows), to * rows);
  return out;
}

/** A rows × columns matrix as columns × rows, both column-major. */
export function transposeColumns(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let j = 0; j < columns; j++) {
    for (let i = 0; i < rows; i++) out[i * columns + j] = matrix[j * rows + i]!;
  }
  return out;
}

/**
 * A power of two p with 1/2 ≤ p · max|x| < 2, at most about 1e300; 1 for all-zero input and for input with NaN or Inf, which
 * no scaling can help. Products of two float32 factors reach from 1e-90 to 1e+77; the squares and products of squares that an SVD
 * forms would leave binary64. Multiplying by a power of two changes no significand, so results are the same numbers.
 */
function balancingPower(values: Float64Array): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]!);
    // In this form the comparison also takes NaN.
    if (!(magnitude <= largest)) largest = magnitude;
    if (!(magnitude < Infinity)) return 1;
  }
  if (largest === 0) return 1;
  let power = 1;
  while (largest * power >= 2) power *= 0.5;
  while (largest * power < 0.5 && power < 1e300) power *= 2;
  return power;
}
