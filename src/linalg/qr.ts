/**
 * Householder QR of tall (or wide) matrices, kept as reflectors: `X = Q · R`, Q with orthonormal columns.
 *
 * Backward stable for every input, rank-deficient and all-zero ones included (Gram–Schmidt, though faster, loses
 * orthogonality there). With k = min(rows, columns), Q is rows × k and R is k × columns. Q is not formed: what
 * callers want is `Q · C` for a small C, and in the compact WY form (Schreiber and Van Loan 1989) that is one pass,
 * `[C; 0] − V · (T · V₁ᵀ · C)`. All matrices are column-major; every sum has a fixed order. NaN and Inf spread into
 * the result but do not hang it.
 *
 * @module
 */
import { axpy, axpy4, dot, dot4 } from "./vectors.ts";

/** A QR factorisation. */
export interface QrFactors {
  readonly rows: number;
  readonly columns: number;
  /** min(rows, columns). */
  readonly k: number;
  /** Reflector j in column j, rows × k: zero above row j, 1 in row j. Q = H₀ H₁ …, Hⱼ = 1 − τⱼ vⱼ vⱼᵀ. */
  readonly v: Float64Array;
  /** τ of each reflector; 0 where nothing had to be reflected. */
  readonly tau: Float64Array;
  /** R, k × columns, upper trapezoid. */
  readonly r: Float64Array;
}

/**
 * Factors a rows × columns matrix. The input is not changed. Entries should be 0 or between 1e-140 and 1e+140 in
 * magnitude, where squares stay inside binary64; float32 data is.
 */
export function householderQr(matrix: Float64Array, rows: number, columns: number): QrFactors {
  const k = Math.min(rows, columns);
  const work = matrix.slice(0, rows * columns);
  const tau = new Float64Array(k);
  const r = new Float64Array(k * columns);
  for (let j = 0; j < k; j++) {
    const top = j * rows + j;
    const below = rows - j - 1;
    const pivot = work[top]!;
    const tail = dot(work, top + 1, work, top + 1, below);
    let diagonal = pivot;
    if (tail !== 0) {
      // The sign that adds magnitudes, so that pivot − diagonal does not cancel.
      const norm = Math.sqrt(pivot * pivot + tail);
      diagonal = pivot >= 0 ? -norm : norm;
      const head = pivot - diagonal;
      tau[j] = -head / diagonal;
      for (let i = top + 1; i <= top + below; i++) work[i]! /= head;
      work[top] = 1;
      reflect(work, top, below + 1, tau[j]!, rows, columns - j - 1);
    } else work[top] = 1;
    r[j * k + j] = diagonal;
  }
  for (let c = 1; c < columns; c++) {
    for (let i = 0; i < Math.min(c, k); i++) r[c * k + i] = work[c * rows + i]!;
  }
  for (let j = 1; j < k; j++) work.fill(0, j * rows, j * rows + j);
  return { rows, columns, k, v: work.slice(0, rows * k), tau, r };
}

/** Applies 1 − τ v vᵀ, v at `top`, to the `count` columns that follow, four at a time so that v is read once for four. */
function reflect(
  work: Float64Array,
  top: number,
  length: number,
  tau: number,
  stride: number,
  count: number,
): void {
  let c = 1;
  for (; c + 3 <= count; c += 4) {
    const at = top + c * stride;
    const s = dot4(work, top, work, at, stride, length);
    axpy(work, top, -tau * s[0]!, work, at, length);
    axpy(work, top, -tau * s[1]!, work, at + stride, length);
    axpy(work, top, -tau * s[2]!, work, at + 2 * stride, length);
    axpy(work, top, -tau * s[3]!, work, at + 3 * stride, length);
  }
  for (; c <= count; c++) {
    const at = top + c * stride;
    axpy(work, top, -tau * dot(work, top, work, at, length), work, at, length);
  }
}

/**
 * `Q · C` for a k × count matrix C (column-major).
 *
 * @returns rows × count, column-major.
 */
export function applyQ(qr: QrFactors, c: Float64Array, count: number): Float64Array {
  const { rows, k, v } = qr;
  const t = blockReflector(qr);
  const out = new Float64Array(rows * count);
  const inner = new Float64Array(k);
  const weights = new Float64Array(k);
  for (let j = 0; j < count; j++) {
    // inner = V₁ᵀ C: only the first k rows of [C; 0] are not zero, and V₁ is lower triangular.
    for (let i = 0; i < k; i++) inner[i] = dot(v, i * rows + i, c, j * k + i, k - i);
    for (let i = 0; i < k; i++) {
      let sum = 0;
      for (let l = i; l < k; l++) sum += t[l * k + i]! * inner[l]!;
      weights[i] = -sum;
    }
    const at = j * rows;
    out.set(c.subarray(j * k, j * k + k), at);
    let i = 0;
    for (; i + 3 < k; i += 4) {
      axpy4(v, i * rows, rows, weights, i, out, at, rows);
    }
    for (; i < k; i++) axpy(v, i * rows, weights[i]!, out, at, rows);
  }
  return out;
}

/** T of the compact WY form Q = 1 − V T Vᵀ: upper triangular, k × k, column-major (LAPACK's dlarft recurrence). */
function blockReflector({ rows, k, v, tau }: QrFactors): Float64Array {
  const t = new Float64Array(k * k);
  const inner = new Float64Array(k);
  for (let j = 0; j < k; j++) {
    // v_j is zero above row j.
    let i = 0;
    for (; i + 4 <= j; i += 4) {
      inner.set(dot4(v, j * rows + j, v, i * rows + j, rows, rows - j), i);
    }
    for (; i < j; i++) inner[i] = dot(v, i * rows + j, v, j * rows + j, rows - j);
    for (i = 0; i < j; i++) {
      let sum = 0;
      for (let l = i; l < j; l++) sum += t[l * k + i]! * inner[l]!;
      t[j * k + i] = -tau[j]! * sum;
    }
    t[j * k + j] = tau[j]!;
  }
  return t;
}

/** The explicit thin Q (rows × k, column-major). */
export function thinQ(qr: QrFactors): Float64Array {
  const identity = new Float64Array(qr.k * qr.k);
  for (let i = 0; i < qr.k; i++) identity[i * qr.k + i] = 1;
  return applyQ(qr, identity, qr.k);
}
