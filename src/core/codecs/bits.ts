/**
 * Bit strings: unsigned codes of 1 to 8 bits, least significant bit first (spec clause 8.1).
 *
 * Code i of a vector occupies the bits i·bits … i·bits + bits − 1 of the vector's bytes, where bit n is bit n mod 8
 * of byte ⌊n / 8⌋. A vector starts on a byte; the unused bits of its last byte are written as zero. Packing and
 * unpacking are inverse to each other for every code below 2^bits. Lengths are the caller's business: these
 * functions are the inner loop of encoder and decoder and read or write exactly the bytes of one vector.
 *
 * @module
 */

/** Bytes of a vector of `length` codes of `bits` bits. */
export function packedBytes(length: number, bits: number): number {
  return Math.ceil((length * bits) / 8);
}

/**
 * Packs `length` codes from `codes[from]` on into `packed` from byte `at` on.
 *
 * Every code must be below 2^`bits`; higher bits would spill into the neighbours. All {@link packedBytes} bytes
 * are overwritten.
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

/** Unpacks `length` codes from byte `at` of `packed` on into `codes` from `to` on. Unused bits are ignored. */
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
