/** Seeded matrices (column-major) and the few dense operations the tests of this folder need. */

/** Uniform numbers in (0, 1): mulberry32. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
}

/** Standard normal numbers (Box and Muller). */
export function normal(seed: number): () => number {
  const next = uniform(seed);
  return () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next());
}

export function randomMatrix(rows: number, columns: number, seed: number, scale = 1): Float64Array {
  const next = normal(seed);
  return Float64Array.from({ length: rows * columns }, () => scale * next());
}

/** X (rows × inner) times Y (inner × columns). */
export function multiply(
  x: Float64Array,
  rows: number,
  inner: number,
  y: Float64Array,
  columns: number,
): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let j = 0; j < columns; j++) {
    for (let l = 0; l < inner; l++) {
      for (let i = 0; i < rows; i++) out[j * rows + i]! += x[l * rows + i]! * y[j * inner + l]!;
    }
  }
  return out;
}

/** Largest |x − y| over the largest |y| (over 1 if y is zero). */
export function relativeDifference(x: Float64Array, y: Float64Array): number {
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < y.length; i++) {
    difference = Math.max(difference, Math.abs(x[i]! - y[i]!));
    largest = Math.max(largest, Math.abs(y[i]!));
  }
  return difference / (largest || 1);
}

/** Largest deviation of XᵀX from the identity, over columns that are not zero. */
export function orthogonalityError(x: Float64Array, rows: number, columns: number): number {
  let worst = 0;
  for (let p = 0; p < columns; p++) {
    for (let q = 0; q <= p; q++) {
      let sum = 0;
      for (let i = 0; i < rows; i++) sum += x[p * rows + i]! * x[q * rows + i]!;
      if (p === q && sum === 0) continue;
      worst = Math.max(worst, Math.abs(sum - (p === q ? 1 : 0)));
    }
  }
  return worst;
}
