/**
 * Exact scaling by powers of two, so that squares neither overflow nor vanish.
 *
 * Products of two float32 factors reach from 1e-90 to 1e+77; the squares and products of squares that an SVD forms
 * would leave binary64. Multiplying by a power of two changes no significand, so results are the same numbers.
 *
 * @module
 */

/**
 * A power of two p with 1/2 ≤ p · max|x| < 2, at most about 1e300; 1 for all-zero input and for input with NaN or Inf, which
 * no scaling can help.
 */
export function balancingPower(values: Float64Array): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]!);
    // In this form the comparison also takes NaN.
    if (!(magnitude <= largest)) largest = magnitude;
    if (!(magnitude < Infinity)) return 1;
  }
  if (largest === 0) return 1;
  let power = 1;
  while (largest * power >= 2) power *= 0.5;
  while (largest * power < 0.5 && power < 1e300) power *= 2;
  return power;
}
