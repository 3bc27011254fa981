/**
 * Householder QR of tall (or wide) matrices, kept as reflectors: `X = Q · R`, Q with orthonormal columns.
 *
 * Backward stable for every input, including rank-deficient and all-zero ones (Gram–Schmidt is faster but loses
 * orthogonality there). With k = min(rows, columns), Q is rows × k and R is k × columns. Q is not formed: callers
 * want `Q · C` for a small C, and in the compact WY form (Schreiber and Van Loan 1989) that is one pass,
 * `[C; 0] − V · (T · V₁ᵀ · C)`. An engine (`engine.ts`) runs the loops over rows; one pass over the matrix updates all columns
 * by a reflector and sums all products with the next column, including those for T. Column-major; every sum has a
 * fixed order. NaN and Inf spread into the result but do not hang it.
 *
 * @module
 */
import { denseEngine } from "./dense.ts";
import { type DenseEngine, type DenseMatrix, padded, stripIndex } from "./engine.ts";

/** A QR factorisation. */
export interface QrFactors {
  readonly rows: number;
  readonly columns: number;
  /** min(rows, columns). */
  readonly k: number;
  /** Reflectors in the engine's form (`Reflectors` in `engine.ts`): Q = H₀ H₁ …, Hⱼ = 1 − τⱼ vⱼ vⱼᵀ. */
  readonly u: Float64Array;
  /** τ of each reflector; 0 if there was nothing to reflect. */
  readonly tau: Float64Array;
  /** vᵢᵀvⱼ for i < j at j·k + i. */
  readonly inner: Float64Array;
  /** R, k × columns, upper trapezoid. */
  readonly r: Float64Array;
}

/**
 * Factors a rows × columns matrix. The input is not changed. Entries should be 0 or between 1e-140 and 1e+140 in
 * magnitude, where squares stay inside binary64; float32 data is.
 */
export function householderQr(matrix: Float64Array, rows: number, columns: number): QrFactors {
  return qrOf({ values: matrix, rows, columns, order: "columns" });
}

/** Factors a matrix of any layout. */
export function qrOf(matrix: DenseMatrix, engine: DenseEngine = denseEngine()): QrFactors {
  const { rows, columns } = matrix;
  return { rows, columns, k: Math.min(rows, columns), ...engine.factor(matrix) };
}

/**
 * `Q · C` for a k × count matrix C (column-major).
 *
 * @returns rows × count, column-major.
 */
export function applyQ(
  qr: QrFactors,
  c: Float64Array,
  count: number,
  engine: DenseEngine = denseEngine(),
): Float64Array {
  const { rows, columns, k, u } = qr;
  const t = blockReflector(qr);
  const stride = padded(count);
  const top = new Float64Array(k * stride);
  const weights = new Float64Array(padded(columns) * stride);
  const inverse = Float64Array.from({ length: k }, (_, l) => 1 / u[stripIndex(rows, columns, l, l)]!);
  // V₁, the first k rows of V, by rows: lower triangular with ones.
  const first = new Float64Array(k * k);
  for (let l = 0; l < k; l++) {
    for (let i = l; i < k; i++) first[i * k + l] = u[stripIndex(rows, columns, i, l)]! * inverse[l]!;
  }
  // Several sums in parallel, each in the order of its terms, so that no addition waits for the one before.
  const inner = new Float64Array(k);
  const sums = new Float64Array(k);
  for (let j = 0; j < count; j++) {
    inner.fill(0);
    sums.fill(0);
    for (let i = 0; i < k; i++) addTimes(inner, first, i * k, i + 1, c[j * k + i]!);
    for (let l = 0; l < k; l++) addTimes(sums, t, l * k, l + 1, inner[l]!);
    for (let i = 0; i < k; i++) {
      top[i * stride + j] = c[j * k + i]!;
      weights[i * stride + j] = inverse[i]! * sums[i]!;
    }
  }
  return engine.subtract(u, rows, columns, top, k, weights, count);
}

/** T of the compact WY form Q = 1 − V T Vᵀ: upper triangular, k × k, column-major (LAPACK's dlarft recurrence). */
function blockReflector({ k, tau, inner }: QrFactors): Float64Array {
  const t = new Float64Array(k * k);
  const sums = new Float64Array(k);
  for (let j = 0; j < k; j++) {
    sums.fill(0);
    for (let l = 0; l < j; l++) addTimes(sums, t, l * k, l + 1, inner[j * k + l]!);
    for (let i = 0; i < j; i++) t[j * k + i] = -tau[j]! * sums[i]!;
    t[j * k + j] = tau[j]!;
  }
  return t;
}

/** Adds `factor` times the values from `at` on to the first `count` sums. */
function addTimes(sums: Float64Array, values: Float64Array, at: number, count: number, factor: number): void {
  for (let i = 0; i < count; i++) sums[i]! += values[at + i]! * factor;
}
