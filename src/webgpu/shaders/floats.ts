/**
 * Floats as bits, in integer arithmetic (spec clause 3.2).
 *
 * WGSL lets an implementation flush subnormal numbers, ignore the sign of zero, round either way, and assume that NaN and
 * infinities do not occur. The specification fixes every bit, so this code treats numbers as words, and rounds results that
 * are not exact itself, to nearest, ties to even.
 *
 * @module
 */
/** WGSL functions on the bits of floats. */
export const FLOATS: string = /* wgsl */ `
// binary16 bits to binary32 bits.
fn widen(half: u32) -> u32 {
  let sign = (half & 0x8000u) << 16u;
  let exponent = (half >> 10u) & 31u;
  let fraction = half & 0x3ffu;
  if (exponent == 31u) { return sign | 0x7f800000u | (fraction << 13u); }
  if (exponent != 0u) { return sign | ((exponent + 112u) << 23u) | (fraction << 13u); }
  if (fraction == 0u) { return sign; }
  let top = firstLeadingBit(fraction);
  return sign | ((top + 103u) << 23u) | ((fraction << (23u - top)) & 0x7fffffu);
}

// binary32 bits to binary16 bits. NaN becomes quiet.
fn narrow(bits: u32) -> u32 {
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x47800000u) {
    if (magnitude > 0x7f800000u) { return sign | 0x7e00u | ((magnitude >> 13u) & 0x3ffu); }
    return sign | 0x7c00u;
  }
  if (magnitude < 0x38800000u) {
    // Below 2^-14: one unit is 2^-24. 2^-25 itself ties to zero.
    if (magnitude < 0x33000000u) { return sign; }
    let shift = 126u - (magnitude >> 23u);
    let significand = (magnitude & 0x7fffffu) | 0x800000u;
    return sign | round_off(significand, shift, false);
  }
  // A carry out of the fraction moves the exponent up by itself.
  return sign | ((magnitude + 0xfffu + ((magnitude >> 13u) & 1u) - 0x38000000u) >> 13u);
}

// value / 2^shift, for shifts of 1 to 31; \`more\`: bits below value were cut off before, and not all were 0.
fn round_off(value: u32, shift: u32, more: bool) -> u32 {
  let kept = value >> shift;
  let rest = value & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  let up = rest > half || (rest == half && (more || (kept & 1u) == 1u));
  return kept + select(0u, 1u, up);
}

// The product of two binary32 numbers, as bits.
fn multiply(a: u32, b: u32) -> u32 {
  let sign = (a ^ b) & 0x80000000u;
  let x = a & 0x7fffffffu;
  let y = b & 0x7fffffffu;
  if (x >= 0x7f800000u || y >= 0x7f800000u) {
    if (x > 0x7f800000u || y > 0x7f800000u || x == 0u || y == 0u) { return 0x7fc00000u; }
    return sign | 0x7f800000u;
  }
  if (x == 0u || y == 0u) { return sign; }
  var exponent = -126;
  var p = x & 0x7fffffu;
  if (x < 0x800000u) {
    let shift = 23u - firstLeadingBit(p);
    p <<= shift;
    exponent += 1 - i32(shift);
  } else {
    p |= 0x800000u;
    exponent += i32(x >> 23u);
  }
  var q = y & 0x7fffffu;
  if (y < 0x800000u) {
    let shift = 23u - firstLeadingBit(q);
    q <<= shift;
    exponent += 1 - i32(shift);
  } else {
    q |= 0x800000u;
    exponent += i32(y >> 23u);
  }
  // 48 bits of the product, from halves of 12 bits: the upper 24 in top, the lower 24 in rest.
  let middle = (p >> 12u) * (q & 0xfffu) + (p & 0xfffu) * (q >> 12u);
  let low = (p & 0xfffu) * (q & 0xfffu) + ((middle & 0xfffu) << 12u);
  var top = (p >> 12u) * (q >> 12u) + (middle >> 12u) + (low >> 24u);
  var rest = low & 0xffffffu;
  if (top < 0x800000u) {
    top = (top << 1u) | (rest >> 23u);
    rest = (rest << 1u) & 0xffffffu;
    exponent -= 1;
  }
  if (exponent >= 255) { return sign | 0x7f800000u; }
  if (exponent <= 0) {
    if (exponent < -23) { return sign; }
    return sign | round_off(top, u32(1 - exponent), rest != 0u);
  }
  let up = rest > 0x800000u || (rest == 0x800000u && (top & 1u) == 1u);
  // A carry moves the exponent up, to infinity at most.
  return sign | ((u32(exponent - 1) << 23u) + top + select(0u, 1u, up));
}
`;
