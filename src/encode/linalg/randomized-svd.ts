/**
 * The strongest singular triplets of a large matrix, without its whole SVD: `M ≈ U · diag(s) · Vᵀ`.
 *
 * Randomized, after Halko, Martinsson and Tropp (SIAM Review 53, 2011): it multiplies a few random vectors by M and Mᵀ in
 * turn (algorithm 4.4) and compresses M onto their span (algorithm 5.1). Algorithm 4.4 keeps only the last product. This keeps
 * every one (Halko, Martinsson, Shkolnisky and Tygert 2011; Musco and Musco 2015), in blocks of 8 or 16 vectors, and
 * adds blocks until the captured energy no longer grows. For the same passes over M this is far better: with a spectrum like
 * those of fine-tunings (i^-0.7 + 0.02) and rank 32 of 1024 × 1024, algorithm 4.4 with 10 more vectors and 2 power iterations
 * (252 products with a vector) misses 3e-3 of the best energy; this (232 products) misses 1e-9.
 *
 * Small matrices, and ranks near the dimension, get a full decomposition. The random vectors are signs from an integer hash,
 * so the result depends only on the matrix and the options, and is the same bytes on every engine. Everything is column-major
 * except the matrix itself.
 *
 * @module
 */
import { combine, orthonormal, randomSigns } from "./basis.ts";
import { symmetricEigen } from "./eigen.ts";
import { gram } from "./gram.ts";
import { addProduct, addTransposedProduct } from "./panels.ts";
import { dot } from "./vectors.ts";

/** How many triplets to find. */
export interface TruncatedSvdOptions {
  /** Largest number of triplets. */
  readonly rank: number;
  /** Stops at the smallest number of triplets that hold this share (0 to 1) of `‖M‖²`. Default: always `rank`. */
  readonly energy?: number | undefined;
}

/** The strongest triplets. */
export interface TruncatedSvd {
  /** Number of triplets: at most the requested rank; fewer by `energy`, or if the rest is zero (below 1e-7 of the first). */
  readonly k: number;
  /** rows × k, unit vectors; the largest entry of each is positive. */
  readonly u: Float64Array;
  /** Descending. */
  readonly s: Float64Array;
  /** columns × k, orthonormal. */
  readonly v: Float64Array;
  /** `‖M‖²`, exact except for rounding. */
  readonly energy: number;
  /** `‖U S Vᵀ‖²`. `energy − captured` is `‖M − U S Vᵀ‖²`, because the result is M projected onto V. */
  readonly captured: number;
  /** Number of products of M or Mᵀ with a vector; 0 for a full decomposition. */
  readonly products: number;
}

/** Most vectors of the basis. For noise without any structure, the result is then 2 % below the best energy. */
const largestBasis = (rank: number): number => 3 * rank + 48;
/** Up to this dimension a full decomposition is as fast. */
const SMALL = 128;
/** Stops when a quarter more vectors add less than this share to the captured energy; far less is then missing. */
const STANDSTILL = 1e-4;
/** A singular value below this share of the first is a rounding error of the Gram matrix. */
const NOISE = 1e-7;

/**
 * Finds the strongest triplets of a matrix.
 *
 * @param matrix rows × columns, row-major, finite
 */
export function truncatedSvd(
  matrix: Float32Array,
  rows: number,
  columns: number,
  options: TruncatedSvdOptions,
): TruncatedSvd {
  const steps = truncatedSvdSteps(matrix, rows, columns, options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** The same in steps of one or two passes over the matrix, for callers that do other work in between. */
export function* truncatedSvdSteps(
  matrix: Float32Array,
  rows: number,
  columns: number,
  options: TruncatedSvdOptions,
): Generator<undefined, TruncatedSvd> {
  const shorter = Math.min(rows, columns);
  const wanted: Wanted = {
    rank: Math.min(options.rank, shorter),
    share: options.energy,
    energy: squares(matrix),
  };
  if (wanted.energy === 0 || wanted.rank <= 0) return nothing(wanted.energy);
  if (shorter > SMALL && shorter > largestBasis(wanted.rank)) {
    return yield* krylov(matrix, rows, columns, wanted);
  }
  if (columns <= rows) return yield* whole(matrix, rows, columns, wanted);
  const swapped = yield* whole(transposed(matrix, rows, columns), columns, rows, wanted);
  return withSigns({ ...swapped, u: swapped.v, v: swapped.u }, rows, columns);
}

interface Wanted {
  readonly rank: number;
  readonly share: number | undefined;
  readonly energy: number;
}

/** The best k directions in a basis, and the energy that they capture: `Σ values[0 … k)`. */
interface Ritz {
  readonly k: number;
  readonly captured: number;
  /** `size × size`, column i for direction i. */
  readonly vectors: Float64Array;
}

function* krylov(
  matrix: Float32Array,
  rows: number,
  columns: number,
  wanted: Wanted,
): Generator<undefined, TruncatedSvd> {
  const block = wanted.rank < 64 ? 8 : 16;
  const limit = Math.floor(largestBasis(wanted.rank) / block) * block;
  const basis = new Float64Array(columns * limit);
  const images = new Float64Array(rows * limit);
  const inner = new Float64Array(limit * limit);
  let size = 0;
  let nextLook = wanted.share === undefined ? wanted.rank + block : 2 * block;
  let previous: Ritz | undefined;
  let seen = 0;
  let next = randomSigns(columns * block, 0);
  for (;;) {
    basis.set(orthonormal(basis, size, next, block, columns), size * columns);
    const image = images.subarray(size * rows, (size + block) * rows);
    const vectors = basis.subarray(size * columns, (size + block) * columns);
    addProduct(matrix, rows, columns, vectors, block, image);
    seen += squares(image);
    addToGram(inner, limit, images, size, block, rows);
    size += block;
    yield;
    const all = seen >= wanted.energy * (1 - 1e-13);
    if (all || size >= nextLook || size === limit) {
      const ritz = solve(inner, limit, size, wanted);
      const still = ritz.k === previous?.k && ritz.captured - previous.captured <= STANDSTILL * ritz.captured;
      if (all || still || size === limit) {
        const products = (2 * size) / block - 1;
        return assemble(basis, images, size, rows, columns, ritz, wanted.energy, products * block);
      }
      previous = ritz;
      nextLook = size + Math.max(block, size >> 2);
    }
    next = new Float64Array(columns * block);
    addTransposedProduct(matrix, rows, columns, image, block, next);
    yield;
  }
}

/** Full decomposition, by the Gram matrix with as many columns as M. */
function* whole(
  matrix: Float32Array,
  rows: number,
  columns: number,
  wanted: Wanted,
): Generator<undefined, TruncatedSvd> {
  const inner = new Float64Array(columns * columns);
  // By panels of rows, so that a long matrix needs no float64 copy.
  for (let row = 0; row < rows; row += 512) {
    const count = Math.min(512, rows - row);
    const panel = matrix.subarray(row * columns, (row + count) * columns);
    addTransposedProduct(panel, count, columns, columnMajor(panel, count, columns), columns, inner);
    yield;
  }
  const ritz = solve(inner, columns, columns, wanted);
  const u = new Float64Array(rows * ritz.k);
  addProduct(matrix, rows, columns, ritz.vectors, ritz.k, u);
  const v = ritz.vectors.slice(0, columns * ritz.k);
  return finish(u, v, rows, columns, ritz.k, wanted.energy, 0);
}

/** The best directions in the basis, as many as wanted. */
function solve(inner: Float64Array, stride: number, size: number, wanted: Wanted): Ritz {
  const matrix = new Float64Array(size * size);
  for (let j = 0; j < size; j++) matrix.set(inner.subarray(j * stride, j * stride + size), j * size);
  const { values, vectors } = symmetricEigen(matrix, size);
  const goal = wanted.share === undefined ? Number.POSITIVE_INFINITY : wanted.share * wanted.energy;
  let captured = 0;
  let k = 0;
  while (k < Math.min(wanted.rank, size) && (k === 0 || captured < goal)) {
    if (!(values[k]! > NOISE * NOISE * values[0]!)) break;
    captured += values[k]!;
    k++;
  }
  return { k, captured, vectors };
}

/** U, s and V from a basis, its images under M, and coefficients. */
function assemble(
  basis: Float64Array,
  images: Float64Array,
  size: number,
  rows: number,
  columns: number,
  ritz: Ritz,
  energy: number,
  products: number,
): TruncatedSvd {
  const u = combine(images, rows, size, ritz.vectors, ritz.k);
  const v = combine(basis, columns, size, ritz.vectors, ritz.k);
  return finish(u, v, rows, columns, ritz.k, energy, products);
}

/** Normalizes the columns of u, which have the lengths of their singular values before. */
function finish(
  u: Float64Array,
  v: Float64Array,
  rows: number,
  columns: number,
  k: number,
  energy: number,
  products: number,
): TruncatedSvd {
  const s = new Float64Array(k);
  let captured = 0;
  for (let i = 0; i < k; i++) {
    const square = dot(u, i * rows, u, i * rows, rows);
    captured += square;
    s[i] = Math.sqrt(square);
    for (let j = i * rows; j < (i + 1) * rows; j++) u[j]! /= s[i]!;
  }
  return withSigns({ k, u, s, v, energy, captured: Math.min(captured, energy), products }, rows, columns);
}

/** Makes the largest entry of each column of u positive; of equal ones, the first. */
function withSigns(svd: TruncatedSvd, rows: number, columns: number): TruncatedSvd {
  const { k, u, v } = svd;
  for (let i = 0; i < k; i++) {
    let largest = 0;
    for (let j = i * rows; j < (i + 1) * rows; j++) if (Math.abs(u[j]!) > Math.abs(largest)) largest = u[j]!;
    if (largest >= 0) continue;
    for (let j = i * rows; j < (i + 1) * rows; j++) u[j] = -u[j]!;
    for (let j = i * columns; j < (i + 1) * columns; j++) v[j] = -v[j]!;
  }
  return svd;
}

function nothing(energy: number): TruncatedSvd {
  const none = new Float64Array(0);
  return { k: 0, u: none, s: none, v: none, energy, captured: 0, products: 0 };
}

/** Adds the rows and columns of the newest block to the Gram matrix of the images. */
function addToGram(
  inner: Float64Array,
  stride: number,
  images: Float64Array,
  size: number,
  block: number,
  rows: number,
): void {
  const products = gram(images.subarray(size * rows), block, images, size + block, rows);
  for (let i = 0; i < block; i++) {
    for (let j = 0; j < size + block; j++) {
      const value = products[i * (size + block) + j]!;
      inner[(size + i) * stride + j] = value;
      inner[j * stride + size + i] = value;
    }
  }
}

function squares(values: Float32Array | Float64Array): number {
  // Four sums, so that an addition does not wait for the one before.
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  const end = values.length - (values.length % 4);
  for (let i = 0; i < end; i += 4) {
    s0 += values[i]! * values[i]!;
    s1 += values[i + 1]! * values[i + 1]!;
    s2 += values[i + 2]! * values[i + 2]!;
    s3 += values[i + 3]! * values[i + 3]!;
  }
  for (let i = end; i < values.length; i++) s0 += values[i]! * values[i]!;
  return s0 + s1 + (s2 + s3);
}

function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = matrix[i * columns + j]!;
  }
  return out;
}

function columnMajor(matrix: Float32Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = matrix[i * columns + j]!;
  }
  return out;
}
