/**
 * What is rotated where weights are (spec clause 8.6.1): the rows they are multiplied by and their sums, or the weights.
 *
 * Rotating rows costs nothing for each weight and six additions for each number of a row, rotating weights the other way
 * round; from five rows on the latter is cheaper (docs/serving.md). Both are exact in the same sense, but sums are rounded
 * in another place.
 *
 * @module
 */
/** For each factor. */
export interface Rotating {
  readonly a: "rows" | "weights";
  readonly b: "rows" | "weights";
}

/** Up to this many rows, the rows are rotated and not the weights. */
const FEW_ROWS = 4;
/** Shorter vectors' weights are never rotated: the kernel has eight columns of 64. */
const SHORT = 512;

/**
 * The rule. It depends on the shape, and on the number of rows of the call unless `invariant`.
 *
 * @param lengths of vectors of A' and of B'
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
