/**
 * Gram matrices of bundles of vectors, and the Frobenius products of low-rank matrices that follow from them.
 *
 * A product B·A (out × n) is never formed: `⟨B₁A₁, B₂A₂⟩ = Σ (B₁ᵀB₂) ∘ (A₁A₂ᵀ)`, at a cost of O((out + n) r²).
 * The result carries a rounding error of about 1e-16 · ‖B₁‖‖A₁‖‖B₂‖‖A₂‖, so a difference of two nearly equal
 * products loses what is smaller than that; `differenceEnergy` does not.
 *
 * @module
 */
import { householderQr } from "./qr.ts";
import { dot, dot4 } from "./vectors.ts";

/** Rank-r factors: `b[i·out …]` and `a[i·n …]` are the vectors of component i. */
export interface LowRank {
  readonly rank: number;
  readonly out: number;
  readonly n: number;
  /** `[rank][out]`. */
  readonly b: Float64Array;
  /** `[rank][n]`. */
  readonly a: Float64Array;
}

/** `XᵀY`, `[xCount][yCount]` row-major, of vectors of `length` entries that lie one after the other. */
export function gram(
  x: Float64Array,
  xCount: number,
  y: Float64Array,
  yCount: number,
  length: number,
): Float64Array {
  const out = new Float64Array(xCount * yCount);
  for (let i = 0; i < xCount; i++) {
    let j = 0;
    for (; j + 4 <= yCount; j += 4) {
      out.set(dot4(x, i * length, y, j * length, length, length), i * yCount + j);
    }
    for (; j < yCount; j++) out[i * yCount + j] = dot(x, i * length, y, j * length, length);
  }
  return out;
}

/** `XᵀX` of vectors of `length` entries that lie one after the other. */
export function selfGram(x: Float64Array, count: number, length: number): Float64Array {
  const out = new Float64Array(count * count);
  for (let i = 0; i < count; i++) {
    let j = i;
    for (; j + 4 <= count; j += 4) {
      out.set(dot4(x, i * length, x, j * length, length, length), i * count + j);
    }
    for (; j < count; j++) out[i * count + j] = dot(x, i * length, x, j * length, length);
    for (j = 0; j < i; j++) out[i * count + j] = out[j * count + i]!;
  }
  return out;
}

/** `⟨B₁A₁, B₂A₂⟩`, the sum of the products of equal entries. */
export function innerProduct(x: LowRank, y: LowRank): number {
  if (x === y) {
    const b = selfGram(x.b, x.rank, x.out);
    return dot(b, 0, selfGram(x.a, x.rank, x.n), 0, b.length);
  }
  const b = gram(x.b, x.rank, y.b, y.rank, x.out);
  const a = gram(x.a, x.rank, y.a, y.rank, x.n);
  return dot(b, 0, a, 0, b.length);
}

/** `‖BA‖²`. */
export function productEnergy(x: LowRank): number {
  return frobeniusOfProduct(x.b, x.out, x.a, x.n, x.rank);
}

/**
 * `‖B₁A₁ − B₂A₂‖²` without cancellation, as the product `[B₁, −B₂] · [A₁; A₂]` of rank r₁ + r₂ by QR of both sides:
 * errors are relative to `‖B‖‖A‖` before squaring, about 1e-32 of the energy. Four times the work of the Gram form.
 */
export function differenceEnergy(x: LowRank, y: LowRank): number {
  const rank = x.rank + y.rank;
  const b = new Float64Array(rank * x.out);
  const a = new Float64Array(rank * x.n);
  b.set(x.b.subarray(0, x.rank * x.out));
  for (let i = 0; i < y.rank * y.out; i++) b[x.rank * x.out + i] = -y.b[i]!;
  a.set(x.a.subarray(0, x.rank * x.n));
  a.set(y.a.subarray(0, y.rank * y.n), x.rank * x.n);
  return frobeniusOfProduct(b, x.out, a, x.n, rank);
}

/** ‖R_b R_aᵀ‖², the energy of the product: Q factors keep lengths. */
function frobeniusOfProduct(b: Float64Array, out: number, a: Float64Array, n: number, rank: number): number {
  const qb = householderQr(b, out, rank);
  const qa = householderQr(a, n, rank);
  return squares(coreProduct(qb, qa));
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
