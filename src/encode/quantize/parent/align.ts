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
 * @module
 */
import type { LoraModule } from "../../../model/adapter.ts";
import { gram } from "../../linalg/gram.ts";
import { jacobiSvd, type Svd } from "../../linalg/svd.ts";
import { combine, dot } from "../../linalg/vectors.ts";
import { type Components, reparameterize } from "../reparameterize.ts";

/** The decoded factors of a parent's module, component after component, without the multiplier. */
export interface ParentFactors {
  readonly rank: number;
  /** `[experts][rank][out]`. */
  readonly b: Float32Array;
  /** `[experts][rank][in · kernel]`. */
  readonly a: Float32Array;
}

/** Factors in the order of the parent's components. */
export type Aligned = Pick<Components, "b" | "a" | "core">;

/**
 * One expert of a module in its parent's basis.
 *
 * @param parent factors of that expert only
 * @param module a module with at least the parent's rank
 * @param core the SVD of the core of the same factors, if it is known
 * @returns undefined if the parent has more directions than the child, or the two have hardly one in common
 */
export function alignToParent(
  module: LoraModule,
  expert: number,
  parent: ParentFactors,
  core?: Svd,
): Aligned | undefined {
  const child = reparameterize(module, expert, { core });
  const { rank, out, n, singularValues: s } = child;
  let size = 0;
  while (size < rank && s[size]! > 0) size++;
  const places = Array.from({ length: rank }, (_, c) => c);
  const taken = places.filter((c) => c < parent.rank && some(parent.b, c, out) && some(parent.a, c, n));
  const count = taken.length;
  if (count === 0 || count > size) return undefined;
  const own = { b: child.b.subarray(0, size * out), a: child.a.subarray(0, size * n) };
  const theirs = { b: gather(parent.b, taken, out), a: gather(parent.a, taken, n) };

  // Coefficients in the child's components, which are orthogonal with squares s: column j for place j.
  const right = gram(theirs.a, count, own.a, size, n);
  const left = gram(theirs.b, count, own.b, size, out);
  for (const matrix of [right, left])
    for (let j = 0; j < count; j++) for (let c = 0; c < size; c++) matrix[j * size + c]! /= s[c]!;
  // M, column by column, from columns of G₁ᵀ and H₁.
  const both = new Float64Array(count * count);
  for (let k = 0; k < count; k++)
    for (let j = 0; j < count; j++) both[k * count + j] = dot(right, j * size, left, k * size, size);
  const h = combine(left, size, count, inverse(both, count), count);
  if (!h.every(Number.isFinite)) return undefined;

  const b = new Float64Array(rank * out);
  const a = new Float64Array(rank * n);
  place(combine(own.b, out, size, h, count), out, b, taken);
  place(combine(own.a, n, size, right, count), n, a, taken);
  const free = places.filter((c) => !taken.includes(c));
  // A component of the parent with a zero vector adds nothing, so it stays unchanged.
  for (const c of free)
    if (c < parent.rank) {
      b.set(parent.b.subarray(c * out, (c + 1) * out), c * out);
      a.set(parent.a.subarray(c * n, (c + 1) * n), c * n);
    }
  const others = Math.min(size - count, free.length);
  if (others > 0) {
    const rest = restCore(right, h, s, size, count);
    const { left: restB, right: restA } = rootsOf(rest, s, size, others);
    place(combine(own.b, out, size, restB, others), out, b, free);
    place(combine(own.a, n, size, restA, others), n, a, free);
  }
  return { b, a, core: child.core };
}

/** √s·(1 − H·G)·√s: the remainder after the aligned components, in the child's components. */
function restCore(
  g: Float64Array,
  h: Float64Array,
  s: Float64Array,
  size: number,
  count: number,
): Float64Array {
  const core = new Float64Array(size * size);
  for (let c = 0; c < size; c++)
    for (let i = 0; i < size; i++) {
      let sum = i === c ? 1 : 0;
      for (let j = 0; j < count; j++) sum -= h[j * size + i]! * g[j * size + c]!;
      core[c * size + i] = sum * Math.sqrt(s[i]!) * Math.sqrt(s[c]!);
    }
  return core;
}

/** The strongest components of a core, as coefficients of the child's. */
function rootsOf(
  core: Float64Array,
  s: Float64Array,
  size: number,
  count: number,
): { left: Float64Array; right: Float64Array } {
  const svd = jacobiSvd(core, size, size);
  const scaled = (vectors: Float64Array): Float64Array => {
    const out = new Float64Array(size * count);
    for (let j = 0; j < count; j++)
      for (let i = 0; i < size; i++)
        out[j * size + i] = (vectors[j * size + i]! * Math.sqrt(svd.s[j]!)) / Math.sqrt(s[i]!);
    return out;
  };
  return { left: scaled(svd.u), right: scaled(svd.v) };
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

function some(values: Float32Array, component: number, length: number): boolean {
  return values.subarray(component * length, (component + 1) * length).some((value) => value !== 0);
}

function gather(values: Float32Array, components: readonly number[], length: number): Float64Array {
  const out = new Float64Array(components.length * length);
  for (const [i, c] of components.entries())
    out.set(values.subarray(c * length, (c + 1) * length), i * length);
  return out;
}

function place(from: Float64Array, length: number, to: Float64Array, places: readonly number[]): void {
  for (let i = 0; i * length < from.length; i++)
    to.set(from.subarray(i * length, (i + 1) * length), places[i]! * length);
}
