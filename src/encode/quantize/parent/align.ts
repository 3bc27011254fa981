/**
 * The basis in which a module is closest to its parent (spec clause 8.9).
 *
 * B·A does not change when B becomes B·G⁻¹ and A becomes G·A. The parent's factors are fixed, and the file stores B·G⁻¹ − B_p and
 * G·A − A_p, so G must make these small. Least squares gives the best G for A, G₁ = A_p·A⁺, and the best inverse for B,
 * H₁ = B⁺·B_p. Both can be used together only if M = G₁·H₁ is the identity, that is, if the child is the parent plus something
 * orthogonal to it. A takes G₁, and B takes H₁·M⁻¹: training moves B more than A, and changes between directions that both
 * have are best stored once. Sharing M equally made files of the run in docs/parents.md up to 30 % larger, and putting all of it
 * into A made them twice as large.
 *
 * Components of the child that the parent lacks are the strongest components of the remainder B·(1 − H·G)·A. They take the places
 * that the parent leaves empty.
 *
 * All of this follows from the Gram matrices of [B B_p] and [A; A_p]. Their rounding errors do not matter: B·H·G·A and the
 * remainder add up to B·A for any G and H.
 *
 * @module
 */
import { jacobiSvd, transposeColumns } from "../../linalg/svd.ts";
import { dot } from "../../linalg/vectors.ts";

/** Expected energy of the errors of each vector of a module, `[experts][rank]`. */
export type Noise = Readonly<Record<"b" | "a", Float64Array>>;

/** The decoded factors of a parent's module, component after component, without the multiplier, and what its codes have lost. */
export interface ParentFactors {
  readonly rank: number;
  /** `[experts][rank][out]`. */
  readonly b: Float32Array;
  /** `[experts][rank][in · kernel]`. */
  readonly a: Float32Array;
  readonly noise: Noise;
}

/** Both factors of a module in the order of its parent's components. */
export interface Aligned {
  readonly b: AlignedFactor;
  readonly a: AlignedFactor;
}

/** One factor of them. */
export interface AlignedFactor {
  /** Each vector as a combination of the factor's own, `[place][rank]`. All zero: the vector is the parent's. */
  readonly coefficients: Float64Array;
  /** The squared length of each vector. */
  readonly whole: Float64Array;
  /** The squared length of its difference from the parent's. */
  readonly rest: Float64Array;
}

/** The Gram matrices of a factor's vectors and its parent's. */
export interface PairGrams {
  /** `[rank + parent's rank][rank + parent's rank]`. */
  readonly b: Float64Array;
  readonly a: Float64Array;
}

/**
 * The smallest share of its squared length by which a vector may stand out from those before it. The coefficients of others have
 * few exact digits.
 */
const DEPENDENT = 1e-8;

/**
 * Aligns one expert of a module with its parent.
 *
 * @param rank of the module
 * @returns `dependent` if the vectors of a factor are nearly linearly dependent; undefined if the parent has more directions than the
 *   child, or the two have hardly one in common
 */
export function alignToParent(grams: PairGrams, rank: number): Aligned | "dependent" | undefined {
  const pair = Math.sqrt(grams.b.length);
  const lives = (c: number): boolean => grams.b[c * (pair + 1)]! > 0 && grams.a[c * (pair + 1)]! > 0;
  const own = range(rank).filter(lives);
  const taken = range(pair - rank).filter((c) => lives(rank + c));
  const [size, count] = [own.length, taken.length];
  if (count === 0 || count > size) return undefined;
  const theirs = taken.map((c) => rank + c);
  const rootB = cholesky(submatrix(grams.b, pair, own, own), size);
  const rootA = cholesky(submatrix(grams.a, pair, own, own), size);
  if (rootB === undefined || rootA === undefined) return "dependent";

  // H₁ and G₁, and M = G₁·H₁; column j or row j for place j.
  const left = solveColumns(rootB, submatrix(grams.b, pair, theirs, own), size, count);
  const g = solveColumns(rootA, submatrix(grams.a, pair, theirs, own), size, count);
  const both = new Float64Array(count * count);
  for (let k = 0; k < count; k++)
    for (let j = 0; j < count; j++) both[k * count + j] = dot(g, j * size, left, k * size, size);
  const h = times(left, inverse(both, count), size, count, count);
  if (!h.every(Number.isFinite)) return undefined;

  const coefficients = { b: new Float64Array(rank * rank), a: new Float64Array(rank * rank) };
  const place = (from: Float64Array, factor: "b" | "a", places: readonly number[]): void => {
    for (let at = 0; at < from.length; at++)
      coefficients[factor][places[Math.floor(at / size)]! * rank + own[at % size]!] = from[at]!;
  };
  place(h, "b", taken);
  place(g, "a", taken);
  // A component of the parent with a zero vector adds nothing, so it stays unchanged, unless a new one takes its place.
  const free = range(rank).filter((c) => !taken.includes(c));
  if (size > count) {
    const rest = strongest(restCore(rootB, rootA, h, g, size, count), rootB, rootA, size, size - count);
    place(rest.left, "b", free);
    place(rest.right, "a", free);
  }
  return { b: measured(coefficients.b, grams.b, rank), a: measured(coefficients.a, grams.a, rank) };
}

/** Adds the squared lengths. */
function measured(coefficients: Float64Array, gram: Float64Array, rank: number): AlignedFactor {
  const pair = Math.sqrt(gram.length);
  const [whole, rest] = [new Float64Array(rank), new Float64Array(rank)];
  for (let c = 0; c < rank; c++) {
    const parent = rank + c < pair ? gram[(rank + c) * (pair + 1)]! : 0;
    if (isKept(coefficients, c, rank)) {
      whole[c] = parent;
      continue;
    }
    let [square, inner] = [0, 0];
    for (let i = 0; i < rank; i++) {
      const own = coefficients[c * rank + i]!;
      square += own * dot(coefficients, c * rank, gram, i * pair, rank);
      if (rank + c < pair) inner += own * gram[(rank + c) * pair + i]!;
    }
    whole[c] = Math.max(0, square);
    rest[c] = Math.max(0, square - 2 * inner + parent);
  }
  return { coefficients, whole, rest };
}

/** Whether a vector is the parent's. */
export function isKept(coefficients: Float64Array, place: number, rank: number): boolean {
  for (let i = place * rank; i < (place + 1) * rank; i++) if (coefficients[i] !== 0) return false;
  return true;
}

/** L_Bᵀ·(1 − H·G)·L_A: the remainder after the aligned components, between orthonormal vectors of B and of A. */
function restCore(
  rootB: Float64Array,
  rootA: Float64Array,
  h: Float64Array,
  g: Float64Array,
  size: number,
  count: number,
): Float64Array {
  const middle = new Float64Array(size * size);
  for (let c = 0; c < size; c++)
    for (let i = 0; i < size; i++) {
      let sum = i === c ? 1 : 0;
      for (let j = 0; j < count; j++) sum -= h[j * size + i]! * g[j * size + c]!;
      middle[c * size + i] = sum;
    }
  return times(times(transposeColumns(rootB, size, size), middle, size, size, size), rootA, size, size, size);
}

/** The strongest components of a remainder, as coefficients of the vectors of B and A. */
function strongest(
  core: Float64Array,
  rootB: Float64Array,
  rootA: Float64Array,
  size: number,
  count: number,
): { left: Float64Array; right: Float64Array } {
  const svd = jacobiSvd(core, size, size);
  const unrooted = (root: Float64Array, vectors: Float64Array): Float64Array => {
    const out = vectors.slice(0, size * count);
    for (let j = 0; j < count; j++) {
      const length = Math.sqrt(svd.s[j]!);
      for (let i = j * size; i < (j + 1) * size; i++) out[i]! *= length;
      solveUpper(root, out, j * size, size);
    }
    return out;
  };
  return { left: unrooted(rootB, svd.u), right: unrooted(rootA, svd.v) };
}

/** L of a positive definite matrix L·Lᵀ; column-major. Undefined if that is nearly singular. */
function cholesky(matrix: Float64Array, n: number): Float64Array | undefined {
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= l[k * n + i]! * l[k * n + j]!;
      if (j < i) l[j * n + i] = sum / l[j * n + j]!;
      else if (sum > DEPENDENT * matrix[i * n + i]!) l[i * n + i] = Math.sqrt(sum);
      else return undefined;
    }
  return l;
}

/** Solves L·Lᵀ·x = y for each column. */
function solveColumns(l: Float64Array, columns: Float64Array, n: number, count: number): Float64Array {
  const x = columns.slice();
  for (let at = 0; at < n * count; at += n) {
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < i; k++) x[at + i]! -= l[k * n + i]! * x[at + k]!;
      x[at + i]! /= l[i * n + i]!;
    }
    solveUpper(l, x, at, n);
  }
  return x;
}

/** Solves Lᵀ·x = y in place, for the numbers from `at` on. */
function solveUpper(l: Float64Array, x: Float64Array, at: number, n: number): void {
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[at + i]! -= l[i * n + k]! * x[at + k]!;
    x[at + i]! /= l[i * n + i]!;
  }
}

/** Inverts an n × n matrix by elimination with row pivots; column-major. The result is not finite if the matrix is singular. */
function inverse(matrix: Float64Array, n: number): Float64Array {
  const m = matrix.slice();
  const x = new Float64Array(n * n);
  for (let k = 0; k < n; k++) x[k * n + k] = 1;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(m[k * n + i]!) > Math.abs(m[k * n + pivot]!)) pivot = i;
    for (const values of [m, x])
      for (let c = 0; c < n; c++) {
        const [upper, lower] = [values[c * n + k]!, values[c * n + pivot]!];
        values[c * n + k] = lower;
        values[c * n + pivot] = upper;
      }
    for (let i = k + 1; i < n; i++) {
      const factor = m[k * n + i]! / m[k * n + k]!;
      for (let c = k + 1; c < n; c++) m[c * n + i]! -= factor * m[c * n + k]!;
      for (let c = 0; c < n; c++) x[c * n + i]! -= factor * x[c * n + k]!;
    }
  }
  for (let c = 0; c < n; c++)
    for (let k = n - 1; k >= 0; k--) {
      x[c * n + k]! /= m[k * n + k]!;
      for (let i = 0; i < k; i++) x[c * n + i]! -= m[k * n + i]! * x[c * n + k]!;
    }
  return x;
}

/** X·Y, `rows × inner` and `inner × columns`; column-major. */
function times(x: Float64Array, y: Float64Array, rows: number, inner: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let c = 0; c < columns; c++)
    for (let k = 0; k < inner; k++)
      for (let i = 0; i < rows; i++) out[c * rows + i]! += x[k * rows + i]! * y[c * inner + k]!;
  return out;
}

/** Rows and columns of a symmetric n × n matrix; column-major. */
function submatrix(
  matrix: Float64Array,
  n: number,
  columns: readonly number[],
  rows: readonly number[],
): Float64Array {
  const out = new Float64Array(columns.length * rows.length);
  let to = 0;
  for (const c of columns) for (const r of rows) out[to++] = matrix[c * n + r]!;
  return out;
}

export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
