/**
 * Gram matrices of bundles of vectors, and the Frobenius products of low-rank matrices that follow from them.
 *
 * A product B·A (out × n) is never formed: `⟨B₁A₁, B₂A₂⟩ = Σ (B₁ᵀB₂) ∘ (A₁A₂ᵀ)`, at a cost of O((out + n) r²).
 * The result carries a rounding error of about 1e-16 · ‖B₁‖‖A₁‖‖B₂‖‖A₂‖, so a difference of two nearly equal
 * products loses what is smaller than that; `differenceEnergy` does not.
 *
 * @module
 */
import { denseEngine } from "./dense.ts";
import type { DenseMatrix } from "./engine.ts";
import { type QrFactors, qrOf } from "./qr.ts";
import { dot } from "./vectors.ts";

/** Factors of a product B · Aᵀ: column i of both belongs to component i. */
export interface LowRank {
  /** out × rank. */
  readonly b: DenseMatrix;
  /** n × rank. */
  readonly a: DenseMatrix;
}

/** `[X Y]ᵀ[X Y]`, symmetric. */
export function pairGram(x: DenseMatrix, y: DenseMatrix): Float64Array {
  return denseEngine().gram([x, y]);
}

/** Frobenius products of two products X = B₁A₁ and Y = B₂A₂. */
export interface PairEnergies {
  /** ‖X‖². */
  readonly x: number;
  /** ‖Y‖². */
  readonly y: number;
  /** ⟨X, Y⟩, the sum of the products of equal entries. */
  readonly inner: number;
  /** ‖B₁‖²‖A₁‖² + ‖B₂‖²‖A₂‖²: rounding errors are about 1e-16 of it. */
  readonly scale: number;
}

/** Computes the energies from the {@link pairGram} of both Bs and of both As, where X has rank `rank`. */
export function pairEnergies(b: Float64Array, a: Float64Array, rank: number): PairEnergies {
  const n = Math.sqrt(b.length);
  const block = (rows: number, rowsEnd: number, columns: number, columnsEnd: number): number => {
    let sum = 0;
    for (let i = rows; i < rowsEnd; i++) {
      for (let j = columns; j < columnsEnd; j++) sum += b[i * n + j]! * a[i * n + j]!;
    }
    return sum;
  };
  const trace = (gram: Float64Array, from: number, end: number): number => {
    let sum = 0;
    for (let i = from; i < end; i++) sum += gram[i * n + i]!;
    return sum;
  };
  return {
    x: block(0, rank, 0, rank),
    y: block(rank, n, rank, n),
    inner: block(0, rank, rank, n),
    scale: trace(b, 0, rank) * trace(a, 0, rank) + trace(b, rank, n) * trace(a, rank, n),
  };
}

/**
 * `‖B₁A₁ − B₂A₂‖²` without cancellation, as the product `[B₁, −B₂] · [A₁; A₂]` of rank r₁ + r₂ by QR of both sides (Q
 * factors keep lengths): errors are relative to `‖B‖‖A‖` before squaring, about 1e-32 of the energy. Twice the work of
 * the Gram form.
 */
export function differenceEnergy(x: LowRank, y: LowRank): number {
  const b = qrOfPair(x.b, y.b);
  const r = b.r.map((value, i) => (i < b.k * x.b.columns ? value : -value));
  return squares(coreProduct({ ...b, r }, qrOfPair(x.a, y.a)));
}

/** QR of [X Y]. */
function qrOfPair(x: DenseMatrix, y: DenseMatrix): QrFactors {
  const { rows } = x;
  const columns = x.columns + y.columns;
  const values = new Float64Array(rows * columns);
  for (const [matrix, at] of [
    [x, 0],
    [y, x.columns * rows],
  ] as const) {
    if (matrix.order === "columns") values.set(matrix.values.subarray(0, rows * matrix.columns), at);
    else {
      for (let i = 0, from = 0; i < rows; i++) {
        for (let c = 0; c < matrix.columns; c++) values[at + c * rows + i] = matrix.values[from++]!;
      }
    }
  }
  return qrOf({ values, rows, columns, order: "columns" });
}

/** `R_b · R_aᵀ`, k_b × k_a, column-major: the small matrix with the singular values of the product. */
export function coreProduct(
  b: { readonly r: Float64Array; readonly k: number; readonly columns: number },
  a: { readonly r: Float64Array; readonly k: number },
): Float64Array {
  const core = new Float64Array(b.k * a.k);
  for (let c = 0; c < b.columns; c++) {
    for (let j = 0; j < a.k; j++) {
      const factor = a.r[c * a.k + j]!;
      if (factor === 0) continue;
      for (let i = 0; i < b.k; i++) core[j * b.k + i]! += b.r[c * b.k + i]! * factor;
    }
  }
  return core;
}

function squares(values: Float64Array): number {
  return dot(values, 0, values, 0, values.length);
}
