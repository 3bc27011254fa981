/**
 * Binary16 for tests, by its definition. Independent of the library's own conversions, so that a fault there cannot hide itself.
 *
 * @module
 */

/** The number that 16 bits stand for. */
export function f16ToNumber(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15));
}

/** The bits of the nearest number of binary16, of two the even one. */
export function numberToF16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const size = Math.abs(value);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (size >= 65520) return sign | 0x7c00;
  // Bits grow with the numbers that they stand for.
  let below = 0;
  for (let step = 0x4000; step >= 1; step >>= 1)
    if (below + step < 0x7c00 && f16ToNumber(below + step) <= size) below += step;
  const above = below === 0x7bff ? 65536 : f16ToNumber(below + 1);
  const down = size - f16ToNumber(below);
  const up = above - size;
  return sign | (down < up || (down === up && below % 2 === 0) ? below : below + 1);
}
