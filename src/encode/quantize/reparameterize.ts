/**
 * LoRA factors as components ordered by singular value: the reparameterization of LoRAQuant (arXiv 2510.26690),
 * `BA = U S Vᵀ`, `B' = U S^½`, `A' = S^½ Vᵀ`.
 *
 * Column i of B' and row i of A', both of norm √sᵢ, form component i. ΔW is never formed: thin QR of both factors and
 * an SVD of the rank × rank core, O((out + n) rank²). The sign of each component is fixed (the entry of u with the
 * largest magnitude, the first on ties, is positive), so that the same factors give the same bits. The
 * multiplier is left out, because it scales all components equally.
 *
 * @module
 */

import { inputLength, type LoraModule } from "../../model/adapter.ts";
import type { DenseMatrix } from "../linalg/engine.ts";
import { coreProduct } from "../linalg/gram.ts";
import { applyQ, qrOf } from "../linalg/qr.ts";
import { jacobiSvd, type Svd } from "../linalg/svd.ts";

/** Components of one expert, strongest first. */
export interface Components {
  readonly rank: number;
  readonly out: number;
  /** Weights of one component of A: input features times kernel. */
  readonly n: number;
  /** B', `[rank][out]`; fewer components if fewer were requested. */
  readonly b: Float64Array;
  /** A', `[rank][n]`; fewer components if fewer were requested. */
  readonly a: Float64Array;
  /** Singular values of BA, without the multiplier; `[rank]`, descending, exact zeros last. */
  readonly singularValues: Float64Array;
  /** The SVD of the core. */
  readonly core: Svd;
}

/** What to compute, and what is known already. */
export interface WantedVectors {
  /** Number of components to compute, strongest first. All singular values are computed in any case. */
  readonly count?: number | undefined;
  /** The core of the same factors, if it is known: an SVD costs rank³, and at rank 256 more than the rest. */
  readonly core?: Svd | undefined;
}

/**
 * Singular values below this share of the first, times the rank, are rounding errors of the factorisation (QR and
 * Jacobi are backward stable to a few units of 2^-52) and become exact zeros. float32 factors carry no information below 2^-24.
 */
const NOISE = 4 * Number.EPSILON;

/** One expert's B, out × rank, in the adapter's layout. */
export function factorB(module: LoraModule, expert: number): DenseMatrix {
  const { out, rank } = module;
  const values = module.b.subarray(expert * out * rank, (expert + 1) * out * rank);
  return { values, rows: out, columns: rank, order: "rows" };
}

/** One expert's A, n × rank: its columns are the rows of the adapter's A. */
export function factorA(module: LoraModule, expert: number): DenseMatrix {
  const n = inputLength(module);
  const values = module.a.subarray(expert * module.rank * n, (expert + 1) * module.rank * n);
  return { values, rows: n, columns: module.rank, order: "columns" };
}

/** One expert's B as components, `[rank][out]`, in double precision; not reparameterized. */
export function componentsOfB(module: LoraModule, expert: number): Float64Array {
  const { out, rank } = module;
  const b = new Float64Array(rank * out);
  for (let i = 0, from = expert * out * rank; i < out; i++) {
    for (let c = 0; c < rank; c++, from++) b[c * out + i] = module.b[from]!;
  }
  return b;
}

/** One expert's A as components, `[rank][n]`, in double precision; not reparameterized. */
export function componentsOfA(module: LoraModule, expert: number): Float64Array {
  return new Float64Array(factorA(module, expert).values);
}

/**
 * Reparameterizes one expert of a module. Weights must be finite.
 *
 * If the rank exceeds out or n, some components are exactly zero; with an all-zero B or A, all of them are.
 */
export function reparameterize(module: LoraModule, expert: number, wanted: WantedVectors = {}): Components {
  const { rank, out } = module;
  const count = Math.min(rank, wanted.count ?? rank);
  const n = inputLength(module);
  const qb = qrOf(factorB(module, expert));
  const qa = qrOf(factorA(module, expert));
  const core = wanted.core ?? jacobiSvd(coreProduct(qb, qa), qb.k, qa.k);
  const singularValues = new Float64Array(rank);
  let kept = 0;
  const least = core.s[0]! * NOISE * rank;
  while (kept < core.k && core.s[kept]! > least) {
    singularValues[kept] = core.s[kept]!;
    kept++;
  }
  const made = Math.min(kept, count);
  const left = scaleColumns(core.u, qb.k, core.s, made);
  const right = scaleColumns(core.v, qa.k, core.s, made);
  const b = withZeros(applyQ(qb, left, made), count * out);
  for (let c = 0; c < made; c++) {
    if (!largestIsNegative(b, c * out, out)) continue;
    negate(b, c * out, out);
    negate(right, c * qa.k, qa.k);
  }
  const a = withZeros(applyQ(qa, right, made), count * n);
  return { rank, out, n, b, a, singularValues, core };
}

/** The values followed by zeros. */
function withZeros(values: Float64Array, length: number): Float64Array {
  if (values.length === length) return values;
  const out = new Float64Array(length);
  out.set(values);
  return out;
}

function scaleColumns(columns: Float64Array, rows: number, s: Float64Array, count: number): Float64Array {
  const scaled = columns.slice(0, rows * count);
  for (let c = 0; c < count; c++) {
    const root = Math.sqrt(s[c]!);
    for (let i = c * rows; i < (c + 1) * rows; i++) scaled[i]! *= root;
  }
  return scaled;
}

function largestIsNegative(values: Float64Array, at: number, length: number): boolean {
  let largest = 0;
  for (let i = at; i < at + length; i++) {
    if (Math.abs(values[i]!) > Math.abs(largest)) largest = values[i]!;
  }
  return largest < 0;
}

function negate(values: Float64Array, at: number, length: number): void {
  for (let i = at; i < at + length; i++) values[i] = -values[i]!;
}
