/**
 * Binary16 and bfloat16 for tests, by their definitions. Independent of the library's own conversions, so that a fault there cannot hide itself.
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

const scratch = new DataView(new ArrayBuffer(8));

/** The bits of the nearest number of binary16, of two the even one. */
export function numberToF16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const size = Math.abs(value);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (size >= 65520) return sign | 0x7c00;
  // The power of two at or below it, from its binary64; below 2^-14 numbers are 2^-24 apart.
  scratch.setFloat64(0, size);
  const exponent = Math.max(-14, (scratch.getUint16(0) >> 4) - 1023);
  const steps = size * STEPS[exponent + 14]!;
  const below = Math.floor(steps);
  const rest = steps - below;
  const nearest = rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
  // A carry goes into the exponent, as it should.
  return sign | (1024 * (exponent + 14) + nearest);
}

/** Numbers of binary16 in one, from 2^-14 up to 2^15 and on. */
const STEPS = Array.from({ length: 30 }, (_, i) => 2 ** (24 - i));

/** The number that 16 bits of bfloat16 stand for. */
export function bf16ToNumber(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
}

/** The bits of the nearest number of bfloat16, of two the even one. */
export function numberToBf16(value: number): number {
  const [bits] = new Uint32Array(Float32Array.of(value).buffer) as unknown as [number];
  if (Number.isNaN(value)) return (bits >>> 16) | 0x40;
  const below = bits >>> 16;
  const rest = bits & 0xffff;
  return below + (rest > 0x8000 || (rest === 0x8000 && below % 2 === 1) ? 1 : 0);
}
