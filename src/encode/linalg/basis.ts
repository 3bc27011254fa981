/**
 * An orthonormal basis that grows by blocks of vectors, and operations on it.
 *
 * Vectors follow each other in one array, which has room for more vectors than the basis has.
 *
 * @module
 */
import { gram } from "./gram.ts";
import { householderQr, thinQ } from "./qr.ts";
import { axpy, axpy4, dot } from "./vectors.ts";

/**
 * Makes the block orthonormal and orthogonal to the basis. Projects twice ("twice is enough", Kahan). Vectors of which only
 * rounding errors remain (M has fewer directions, or equal ones) are replaced by new random vectors.
 */
export function orthonormal(
  basis: Float64Array,
  size: number,
  block: Float64Array,
  count: number,
  length: number,
): Float64Array {
  for (let attempt = 1; ; attempt++) {
    let scale = 0;
    for (let j = 0; j < count; j++)
      scale = Math.max(scale, dot(block, j * length, block, j * length, length));
    project(basis, size, block, count, length);
    const qr = householderQr(block, length, count);
    let worn = false;
    for (let j = 0; j < count; j++) {
      if (Math.abs(qr.r[j * count + j]!) > 1e-11 * Math.sqrt(scale)) continue;
      // While the basis is smaller than the space, this many attempts are enough.
      if (attempt > 4) break;
      block.set(randomSigns(length, 1 + size + j + 4096 * attempt), j * length);
      worn = true;
    }
    if (worn) {
      normalize(block, count, length);
      continue;
    }
    const q = thinQ(qr);
    project(basis, size, q, count, length);
    return thinQ(householderQr(q, length, count));
  }
}

function normalize(block: Float64Array, count: number, length: number): void {
  for (let j = 0; j < count; j++) {
    const norm = Math.sqrt(dot(block, j * length, block, j * length, length));
    if (norm > 0) for (let i = j * length; i < (j + 1) * length; i++) block[i]! /= norm;
  }
}

/** block −= basis · (basisᵀ · block). */
function project(
  basis: Float64Array,
  size: number,
  block: Float64Array,
  count: number,
  length: number,
): void {
  if (size === 0) return;
  const weights = gram(block, count, basis, size, length);
  for (let i = 0; i < weights.length; i++) weights[i] = -weights[i]!;
  for (let j = 0; j < count; j++) addCombination(basis, length, size, weights, j * size, block, j * length);
}

/** x · coefficients: `length × count`. */
export function combine(
  x: Float64Array,
  length: number,
  size: number,
  coefficients: Float64Array,
  count: number,
): Float64Array {
  const out = new Float64Array(length * count);
  for (let j = 0; j < count; j++) addCombination(x, length, size, coefficients, j * size, out, j * length);
  return out;
}

function addCombination(
  x: Float64Array,
  length: number,
  size: number,
  weights: Float64Array,
  wAt: number,
  y: Float64Array,
  yAt: number,
): void {
  let i = 0;
  for (; i + 4 <= size; i += 4) axpy4(x, i * length, length, weights, wAt + i, y, yAt, length);
  for (; i < size; i++) axpy(x, i * length, weights[wAt + i]!, y, yAt, length);
}

/** +1 and −1 from a hash of seed and index (the finalizer of MurmurHash3): exact on every engine. */
export function randomSigns(count: number, seed: number): Float64Array {
  const out = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let h = Math.imul(seed + 1, 0x9e3779b1) ^ i;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    out[i] = (h ^ (h >>> 16)) & 1 ? 1 : -1;
  }
  return out;
}
