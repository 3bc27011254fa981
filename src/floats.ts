/**
 * Floats and bit strings. It converts binary16 and bfloat16 to and from binary32, bit-exact on every engine (spec clause
 * 3.2), and reads single floats of a plane. Planes may begin at any byte of a file, so nothing assumes alignment or the byte
 * order of the host.
 *
 * Rounding is to nearest, ties to even. All functions work on bit patterns, because Node 20 and 22 have no `Float16Array`.
 *
 * @module
 */
/** Storage type of raw weights (spec 8.3). */
export type FloatType = "f32" | "f16" | "bf16";

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** Converts binary16 bits to a number. Exact. */
export function f16ToNumber(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return (sign ? -1 : 1) * fraction * 2 ** -24;
  u32[0] =
    exponent === 31
      ? sign | 0x7f800000 | (fraction << 13)
      : sign | ((exponent + 112) << 23) | (fraction << 13);
  return f32[0]!;
}

/**
 * Rounds a number to binary32, then to binary16 bits (to nearest, ties to even). Overflow gives infinity, NaN
 * stays NaN (quiet). Rounding from binary64 directly would differ: the specification says binary32 first.
 */
export function numberToF16(value: number): number {
  f32[0] = value;
  return f32BitsToF16(u32[0]!);
}

/** binary32 bits to binary16 bits, to nearest, ties to even. */
export function f32BitsToF16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) {
    // 65536 and above, infinities and NaN
    return magnitude > 0x7f800000 ? sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff) : sign | 0x7c00;
  }
  if (magnitude < 0x38800000) {
    // below 2^-14: subnormal. Shift the significand so that one unit is 2^-24.
    if (magnitude < 0x33000000) return sign; // below 2^-25: zero (2^-25 itself ties to zero)
    const shift = 126 - (magnitude >>> 23);
    const significand = (magnitude & 0x7fffff) | 0x800000;
    const kept = significand >>> shift;
    const rest = significand & ((1 << shift) - 1);
    const half = 1 << (shift - 1);
    return sign | (kept + (rest > half || (rest === half && kept & 1) ? 1 : 0));
  }
  // A carry out of the fraction moves the exponent up by itself, to infinity at most.
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/**
 * Rounds a number to binary16 bits in one step, to nearest, ties to even; for binary64 sources. Equal to {@link numberToF16}
 * for binary32 numbers.
 */
export function f64ToF16(value: number): number {
  f32[0] = value;
  const nearest = f32[0]!;
  // Rounding to odd in binary32 preserves on which side of a binary16 tie the number is.
  if (nearest !== value && !Number.isNaN(value)) {
    if (Math.abs(nearest) > Math.abs(value)) u32[0]!--;
    u32[0]! |= 1;
  }
  return f32BitsToF16(u32[0]!);
}

/** Converts bfloat16 bits to a number. Exact. */
export function bf16ToNumber(bits: number): number {
  u32[0] = bits << 16;
  return f32[0]!;
}

/** Rounds a number to binary32, then to bfloat16 bits (to nearest, ties to even). NaN stays NaN (quiet). */
export function numberToBf16(value: number): number {
  f32[0] = value;
  const bits = u32[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The bit pattern of element `index`: 16 bits for f16 and bf16, 32 (unsigned) for f32. */
export function readBits(bytes: Uint8Array, type: FloatType, index: number): number {
  if (type !== "f32") return bytes[2 * index]! | (bytes[2 * index + 1]! << 8);
  const at = 4 * index;
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** The number that a bit pattern of `type` represents. Exact, except that NaN payloads depend on the engine. */
export function bitsToNumber(bits: number, type: FloatType): number {
  if (type === "f16") return f16ToNumber(bits);
  if (type === "bf16") return bf16ToNumber(bits);
  u32[0] = bits;
  return f32[0]!;
}

/** Rounds a number to binary32 and then to `type`, each to nearest, ties to even. Overflow gives infinity. */
export function numberToBits(value: number, type: FloatType): number {
  if (type === "f16") return numberToF16(value);
  if (type === "bf16") return numberToBf16(value);
  f32[0] = value;
  return u32[0]!;
}

/** Element `index` as a number. */
export function readElement(bytes: Uint8Array, type: FloatType, index: number): number {
  return bitsToNumber(readBits(bytes, type, index), type);
}

/** Writes the bit pattern of element `index`. */
export function writeBits(bytes: Uint8Array, type: FloatType, index: number, bits: number): void {
  const size = type === "f32" ? 4 : 2;
  for (let byte = 0; byte < size; byte++) bytes[size * index + byte] = bits >>> (8 * byte);
}

const LITTLE = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** The little-endian bytes of binary32 numbers, in their own memory. On a big-endian host it overwrites the numbers. */
export function storeFloats(numbers: Float32Array): Uint8Array {
  const { buffer, byteOffset, byteLength } = numbers;
  const view = new DataView(buffer, byteOffset, byteLength);
  if (!LITTLE) for (let i = 0; i < numbers.length; i++) view.setFloat32(4 * i, numbers[i]!, true);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

// Bit strings: unsigned codes of 1 to 8 bits, least significant bit first (spec clause 8.1).
//
// Code i of a vector occupies the bits i·bits … i·bits + bits − 1 of the vector's bytes, where bit n is bit n mod 8
// of byte ⌊n / 8⌋. A vector starts on a byte; packing writes zeros to the unused bits of its last byte. Packing and
// unpacking are inverse to each other for every code below 2^bits. Callers check lengths: these functions are the inner
// loop of encoder and decoder, and read or write exactly the bytes of one vector.

/** Bytes of a vector of `length` codes of `bits` bits. */
export function packedBytes(length: number, bits: number): number {
  return Math.ceil((length * bits) / 8);
}

/**
 * Packs `length` codes from `codes[from]` on into `packed` from byte `at` on.
 *
 * Every code must be below 2^`bits`; higher bits would spill into the neighbours. Overwrites all {@link packedBytes} bytes.
 */
export function packCodes(
  codes: Uint8Array,
  from: number,
  length: number,
  bits: number,
  packed: Uint8Array,
  at: number,
): void {
  let pending = 0;
  let held = 0;
  for (let i = from; i < from + length; i++) {
    pending |= codes[i]! << held;
    held += bits;
    if (held >= 8) {
      packed[at++] = pending;
      pending >>>= 8;
      held -= 8;
    }
  }
  if (held > 0) packed[at] = pending;
}

/** Unpacks `length` codes from byte `at` of `packed` on into `codes` from `to` on. Ignores unused bits. */
export function unpackCodes(
  packed: Uint8Array,
  at: number,
  length: number,
  bits: number,
  codes: Uint8Array,
  to: number,
): void {
  if (bits === 8) {
    codes.set(packed.subarray(at, at + length), to);
    return;
  }
  const mask = (1 << bits) - 1;
  const end = to + length;
  let pending = 0;
  let held = 0;
  while (to < end) {
    if (held < bits) {
      pending |= packed[at++]! << held;
      held += 8;
    }
    codes[to++] = pending & mask;
    pending >>>= bits;
    held -= bits;
  }
}

/** The bits of the last byte of a vector that no code uses, as a mask; 0 if the codes fill it. */
export function unusedBits(length: number, bits: number): number {
  const used = (length * bits) % 8;
  return used === 0 ? 0 : (0xff << used) & 0xff;
}
