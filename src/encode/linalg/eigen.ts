/**
 * Eigenvalues and vectors of a symmetric matrix: Householder reduction to a tridiagonal one, then implicit QL
 * (`tred2` and `tql2` of EISPACK; Bowdler, Martin, Reinsch and Wilkinson 1968).
 *
 * Errors are about 1e-16 of the largest eigenvalue, for small eigenvalues too: small singular values from a Gram matrix
 * have only half the digits, while the Jacobi SVD of `svd.ts` has all. An iterative SVD ends with this
 * solver.
 *
 * Column-major; only √ and the four operations, in a fixed order. Entries should be 0 or between 1e-140 and 1e+140.
 *
 * @module
 */

/** Eigenvalues descend; equal ones have a fixed order. */
export interface Eigen {
  readonly values: Float64Array;
  /** n × n, column i for value i, orthonormal. */
  readonly vectors: Float64Array;
}

/** Most sweeps per eigenvalue. Finite matrices need two on average, and far fewer than this; NaN would never end. */
const MAX_SWEEPS = 30;

/** Decomposes a symmetric n × n matrix; reads its lower triangle. The input is not changed. */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  const z = matrix.slice(0, n * n);
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(n);
  if (n > 0) {
    tridiagonalize(z, n, diagonal, beside);
    implicitQl(z, n, diagonal, beside);
  }
  const order = Array.from(diagonal.keys()).sort((p, q) => diagonal[q]! - diagonal[p]! || p - q);
  const values = new Float64Array(n);
  const vectors = new Float64Array(n * n);
  for (const [to, from] of order.entries()) {
    values[to] = diagonal[from]!;
    vectors.set(z.subarray(from * n, (from + 1) * n), to * n);
  }
  return { values, vectors };
}

/** z becomes the orthogonal transformation, d the diagonal, e[1 …] the subdiagonal. */
function tridiagonalize(z: Float64Array, n: number, d: Float64Array, e: Float64Array): void {
  for (let j = 0; j < n; j++) d[j] = z[j * n + n - 1]!;
  for (let i = n - 1; i > 0; i--) {
    let scale = 0;
    let h = 0;
    for (let k = 0; k < i; k++) scale += Math.abs(d[k]!);
    if (scale === 0) {
      e[i] = d[i - 1]!;
      for (let j = 0; j < i; j++) {
        d[j] = z[j * n + i - 1]!;
        z[j * n + i] = 0;
        z[i * n + j] = 0;
      }
    } else {
      for (let k = 0; k < i; k++) {
        d[k]! /= scale;
        h += d[k]! * d[k]!;
      }
      const f = d[i - 1]!;
      const g = f > 0 ? -Math.sqrt(h) : Math.sqrt(h);
      e[i] = scale * g;
      h -= f * g;
      d[i - 1] = f - g;
      applyReflector(z, n, i, h, d, e);
    }
    d[i] = h;
  }
  accumulate(z, n, d);
  e[0] = 0;
}

/** Applies 1 − d dᵀ / h from both sides to the leading i × i part, and keeps d in column i. */
function applyReflector(
  z: Float64Array,
  n: number,
  i: number,
  h: number,
  d: Float64Array,
  e: Float64Array,
): void {
  for (let j = 0; j < i; j++) e[j] = 0;
  for (let j = 0; j < i; j++) {
    const at = j * n;
    const f = d[j]!;
    z[i * n + j] = f;
    let g = e[j]! + z[at + j]! * f;
    for (let k = j + 1; k < i; k++) {
      g += z[at + k]! * d[k]!;
      e[k]! += z[at + k]! * f;
    }
    e[j] = g;
  }
  let f = 0;
  for (let j = 0; j < i; j++) {
    e[j]! /= h;
    f += e[j]! * d[j]!;
  }
  const half = f / (h + h);
  for (let j = 0; j < i; j++) e[j]! -= half * d[j]!;
  for (let j = 0; j < i; j++) {
    const at = j * n;
    const dj = d[j]!;
    const ej = e[j]!;
    for (let k = j; k < i; k++) z[at + k]! -= dj * e[k]! + ej * d[k]!;
    d[j] = z[at + i - 1]!;
    z[at + i] = 0;
  }
}

function accumulate(z: Float64Array, n: number, d: Float64Array): void {
  for (let i = 0; i < n - 1; i++) {
    z[i * n + n - 1] = z[i * n + i]!;
    z[i * n + i] = 1;
    const h = d[i + 1]!;
    const reflector = (i + 1) * n;
    if (h !== 0) {
      for (let k = 0; k <= i; k++) d[k] = z[reflector + k]! / h;
      for (let j = 0; j <= i; j++) {
        const at = j * n;
        let g = 0;
        for (let k = 0; k <= i; k++) g += z[reflector + k]! * z[at + k]!;
        for (let k = 0; k <= i; k++) z[at + k]! -= g * d[k]!;
      }
    }
    for (let k = 0; k <= i; k++) z[reflector + k] = 0;
  }
  for (let j = 0; j < n; j++) {
    d[j] = z[j * n + n - 1]!;
    z[j * n + n - 1] = 0;
  }
  z[(n - 1) * n + n - 1] = 1;
}

/** Diagonalizes the tridiagonal matrix and applies every rotation to the columns of z. */
function implicitQl(z: Float64Array, n: number, d: Float64Array, e: Float64Array): void {
  e.copyWithin(0, 1);
  e[n - 1] = 0;
  let shift = 0;
  let largest = 0;
  for (let l = 0; l < n; l++) {
    largest = Math.max(largest, Math.abs(d[l]!) + Math.abs(e[l]!));
    const negligible = Number.EPSILON * largest;
    let m = l;
    while (m < n - 1 && Math.abs(e[m]!) > negligible) m++;
    for (let sweep = 0; m > l && sweep < MAX_SWEEPS; sweep++) {
      const g = d[l]!;
      const p = (d[l + 1]! - g) / (2 * e[l]!);
      const r = p < 0 ? -length(p, 1) : length(p, 1);
      d[l] = e[l]! / (p + r);
      d[l + 1] = e[l]! * (p + r);
      const h = g - d[l]!;
      for (let i = l + 2; i < n; i++) d[i]! -= h;
      shift += h;
      chase(z, n, l, m, d, e);
      if (!(Math.abs(e[l]!) > negligible)) break;
    }
    d[l]! += shift;
    e[l] = 0;
  }
}

/** One implicit QL sweep from row m up to row l. */
function chase(z: Float64Array, n: number, l: number, m: number, d: Float64Array, e: Float64Array): void {
  const below = d[l + 1]!;
  const beside = e[l + 1]!;
  let p = d[m]!;
  let c = 1;
  let c2 = 1;
  let c3 = 1;
  let s = 0;
  let s2 = 0;
  for (let i = m - 1; i >= l; i--) {
    c3 = c2;
    c2 = c;
    s2 = s;
    const g = c * e[i]!;
    const h = c * p;
    const r = length(p, e[i]!);
    e[i + 1] = s * r;
    s = e[i]! / r;
    c = p / r;
    p = c * d[i]! - s * g;
    d[i + 1] = h + s * (c * g + s * d[i]!);
    rotate(z, i * n, (i + 1) * n, n, c, s);
  }
  p = (-s * s2 * c3 * beside * e[l]!) / below;
  e[l] = s * p;
  d[l] = c * p;
}

function rotate(z: Float64Array, p: number, q: number, n: number, cosine: number, sine: number): void {
  for (let k = 0; k < n; k++) {
    const a = z[p + k]!;
    const b = z[q + k]!;
    z[q + k] = sine * a + cosine * b;
    z[p + k] = cosine * a - sine * b;
  }
}

/** √(a² + b²). Not Math.hypot, which engines round differently. */
function length(a: number, b: number): number {
  return Math.sqrt(a * a + b * b);
}
