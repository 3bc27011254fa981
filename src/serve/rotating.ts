/**
 * Decides what to rotate for rotated weights (spec clause 8.6.1): the rows that they multiply and the sums, or the weights.
 *
 * Rotating rows costs nothing per weight and six additions per number of a row; rotating weights is the other way
 * round. From five rows on, rotating weights is cheaper (docs/serving.md). Both are equally exact, but they round sums at
 * different places.
 *
 * @module
 */
/** What to rotate, for each factor. */
export interface Rotating {
  readonly a: "rows" | "weights";
  readonly b: "rows" | "weights";
}

/** Up to this many rows, the rows are rotated rather than the weights. */
const FEW_ROWS = 4;
/** Weights of shorter vectors are never rotated: the kernel needs eight columns of 64. */
const SHORT = 512;

/**
 * Decides by the lengths, and by the number of rows of the call unless `invariant`.
 *
 * @param lengths lengths of the vectors of A' (`n`) and of B' (`out`)
 */
export function rotating(
  rows: number,
  [n, out]: readonly [n: number, out: number],
  invariant: boolean,
): Rotating {
  const of = (length: number): "rows" | "weights" =>
    invariant || rows <= FEW_ROWS || length < SHORT ? "rows" : "weights";
  return { a: of(n), b: of(out) };
}
