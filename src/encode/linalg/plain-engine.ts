/**
 * The dense engine in plain TypeScript: the reference for the kernel, and the fallback without it.
 *
 * It works on columns. It keeps four sums in flight, so that an addition does not wait for the one before.
 *
 * @module
 */
import {
  type DenseEngine,
  type DenseMatrix,
  ORTHOGONAL,
  padded,
  type Reflectors,
  STRIP,
  stripIndex,
  stripWidth,
} from "./engine.ts";
import { axpy, dot, dot4 } from "./vectors.ts";

export function densePlainEngine(): DenseEngine {
  return { factor, subtract, times, gram, rotateAll };
}

function factor(matrix: DenseMatrix): Reflectors {
  const { rows, columns } = matrix;
  const k = Math.min(rows, columns);
  const x = byColumns(matrix);
  const tau = new Float64Array(k);
  const r = new Float64Array(k * columns);
  const inner = new Float64Array(k * k);
  const sums = new Float64Array(columns);
  for (let j = 0; j < k; j++) {
    const top = j * rows + j;
    const below = rows - j - 1;
    productsWith(x, rows, j, columns, sums);
    const pivot = x[top]!;
    const tail = sums[j]!;
    let diagonal = pivot;
    let head = 1;
    if (tail !== 0) {
      // The sign that adds magnitudes, so that pivot − diagonal does not cancel.
      const norm = Math.sqrt(pivot * pivot + tail);
      diagonal = pivot >= 0 ? -norm : norm;
      head = pivot - diagonal;
      tau[j] = -head / diagonal;
    }
    const inverse = 1 / head;
    r[j * k + j] = diagonal;
    x[top] = head;
    for (let c = 0; c < j; c++) {
      inner[j * k + c] = (x[c * rows + j]! + sums[c]! * inverse) * (1 / x[c * rows + c]!);
    }
    for (let c = j + 1; c < columns; c++) {
      const at = c * rows + j;
      const weight = tau[j]! * (x[at]! + sums[c]! * inverse);
      r[c * k + j] = x[at]! - weight;
      x[at] = 0;
      axpy(x, top + 1, -(weight * inverse), x, at + 1, below);
    }
  }
  return { u: toStrips(x, rows, columns), tau, r, inner };
}

/** Σ x[i][j]·x[i][c] over rows below row j, for all columns c. */
function productsWith(x: Float64Array, rows: number, j: number, columns: number, sums: Float64Array): void {
  const from = j + 1;
  let c = 0;
  for (; c + 4 <= columns; c += 4) {
    sums.set(dot4(x, j * rows + from, x, c * rows + from, rows, rows - from), c);
  }
  for (; c < columns; c++) sums[c] = dot(x, j * rows + from, x, c * rows + from, rows - from);
}

function subtract(
  u: Float64Array,
  rows: number,
  columns: number,
  c: Float64Array,
  cRows: number,
  w: Float64Array,
  count: number,
): Float64Array {
  const stride = padded(count);
  const out = new Float64Array(rows * stride);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < stride; j += 4) {
      const at = i * stride + j;
      const live = i < cRows;
      let s0 = live ? c[at]! : 0;
      let s1 = live ? c[at + 1]! : 0;
      let s2 = live ? c[at + 2]! : 0;
      let s3 = live ? c[at + 3]! : 0;
      let t = j;
      for (let from = 0; from < columns; from += STRIP) {
        const width = stripWidth(columns, from);
        const row = from * rows + i * width;
        for (let l = row; l < row + width; l++, t += stride) {
          const factor = u[l]!;
          s0 -= factor * w[t]!;
          s1 -= factor * w[t + 1]!;
          s2 -= factor * w[t + 2]!;
          s3 -= factor * w[t + 3]!;
        }
      }
      const to = j * rows + i;
      out[to] = s0;
      out[to + rows] = s1;
      out[to + 2 * rows] = s2;
      out[to + 3 * rows] = s3;
    }
  }
  return out.subarray(0, rows * count);
}

function times(x: DenseMatrix, w: Float64Array, count: number): Float64Array {
  const { rows, columns } = x;
  const strips = toStrips(byColumns(x), rows, columns);
  return subtract(strips, rows, columns, new Float64Array(0), 0, w.map(negative), count);
}

const negative = (value: number): number => -value;

function gram(matrices: readonly DenseMatrix[]): Float64Array {
  const rows = matrices[0]!.rows;
  const n = matrices.reduce((sum, { columns }) => sum + columns, 0);
  const x = new Float64Array(rows * n);
  let from = 0;
  for (const matrix of matrices) {
    x.set(byColumns(matrix), from * rows);
    from += matrix.columns;
  }
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    let j = i;
    for (; j + 4 <= n; j += 4) out.set(dot4(x, i * rows, x, j * rows, rows, rows), i * n + j);
    for (; j < n; j++) out[i * n + j] = dot(x, i * rows, x, j * rows, rows);
    for (j = 0; j < i; j++) out[i * n + j] = out[j * n + i]!;
  }
  return out;
}

function rotateAll(work: Float64Array, rotations: Float64Array, k: number): boolean {
  let rotated = false;
  for (let p = 0; p < k - 1; p++) {
    for (let q = p + 1; q < k; q++) {
      let alpha = 0;
      let beta = 0;
      let gamma = 0;
      for (let i = p * k, j = q * k; i < (p + 1) * k; i++, j++) {
        const a = work[i]!;
        const b = work[j]!;
        alpha += a * a;
        beta += b * b;
        gamma += a * b;
      }
      if (!(Math.abs(gamma) > ORTHOGONAL * Math.sqrt(alpha) * Math.sqrt(beta))) continue;
      const zeta = (beta - alpha) / (2 * gamma);
      const magnitude = Math.abs(zeta);
      const t = magnitude > 1e150 ? 0.5 / magnitude : 1 / (magnitude + Math.sqrt(1 + zeta * zeta));
      const tangent = zeta >= 0 ? t : -t;
      const cosine = 1 / Math.sqrt(1 + tangent * tangent);
      rotate(work, p * k, q * k, k, cosine, cosine * tangent);
      rotate(rotations, p * k, q * k, k, cosine, cosine * tangent);
      rotated = true;
    }
  }
  return rotated;
}

function rotate(x: Float64Array, p: number, q: number, length: number, cosine: number, sine: number): void {
  for (let i = 0; i < length; i++) {
    const a = x[p + i]!;
    const b = x[q + i]!;
    x[p + i] = cosine * a - sine * b;
    x[q + i] = sine * a + cosine * b;
  }
}

/** A copy in double precision, column-major. */
function byColumns({ values, order, rows, columns }: DenseMatrix): Float64Array {
  if (order === "columns") return new Float64Array(values.subarray(0, rows * columns));
  const out = new Float64Array(rows * columns);
  for (let c = 0, to = 0; c < columns; c++) {
    for (let i = c; i < rows * columns; i += columns) out[to++] = values[i]!;
  }
  return out;
}

function toStrips(x: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(rows * padded(columns));
  for (let c = 0, from = 0; c < columns; c++) {
    const width = stripWidth(columns, c - (c % STRIP));
    for (let to = stripIndex(rows, columns, 0, c), i = 0; i < rows; i++, to += width) out[to] = x[from++]!;
  }
  return out;
}
