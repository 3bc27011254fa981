/**
 * Reads a weight from packed planes (spec clauses 7.2 and 8.1 to 8.6), for any component and place: as the decoded bits, or
 * as a number for products.
 *
 * Bindings: the program of a module (`program.ts`), its payload as in the file, and the trellis tables. A word of padding
 * follows the payload, because `bits_at` reads a code at its end together with the next word.
 *
 * @module
 */
import { FLOATS } from "./floats.ts";

/** WGSL: bindings 0 to 2, and functions that read weights. */
export const WEIGHTS: string = /* wgsl */ `${FLOATS}
@group(0) @binding(0) var<storage, read> program: array<u32>;
@group(0) @binding(1) var<storage, read> payload: array<u32>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;

// As in program.ts.
const RANK = 0u;
const EXPERTS = 1u;
const EXPERT_STRIDE = 2u;
const MULTIPLIER = 3u;
const FACTORS = 4u;
const FACTOR_WORDS = 8u;
const LENGTH = 0u;
const ENTRIES = 1u;
const ENTRY_WORDS = 6u;
const ZERO = 0u;
const RAW = 1u;
const SIGN = 2u;
const AFFINE = 3u;
const TRELLIS = 4u;
const ROTATED = 5u;
const F32 = 0u;
const F16 = 1u;

fn of_factor(factor: u32, word: u32) -> u32 {
  return program[FACTORS + factor * FACTOR_WORDS + word];
}

struct Component {
  kind: u32,
  // Bits of a code, bits of a step, or the type of raw weights.
  bits: u32,
  // log2 of the weights of a step.
  shift: u32,
  scale: u32,
  group: u32,
  table: u32,
  codes: u32,
  scales: u32,
  zero_points: u32,
}

fn component(factor: u32, number: u32, expert: u32) -> Component {
  let at = of_factor(factor, ENTRIES) + number * ENTRY_WORDS;
  let word = program[at];
  let base = expert * program[EXPERT_STRIDE];
  return Component(
    word & 255u, (word >> 8u) & 255u, (word >> 16u) & 255u, word >> 24u,
    program[at + 1u], program[at + 2u],
    base + program[at + 3u], base + program[at + 4u], base + program[at + 5u],
  );
}

// A word whose lowest 8 bits are those from bit \`bit\` on, of the string that begins at byte \`base\`. Callers mask it.
fn bits_at(base: u32, bit: u32) -> u32 {
  let byte = base + (bit >> 3u);
  let shift = ((byte & 3u) << 3u) + (bit & 7u);
  let word = payload[byte >> 2u] >> shift;
  if (shift <= 24u) { return word; }
  return word | (payload[(byte >> 2u) + 1u] << (32u - shift));
}

fn code(base: u32, index: u32, bits: u32) -> i32 {
  return i32(bits_at(base, index * bits) & ((1u << bits) - 1u));
}

// A number of a float type as binary32 bits; planes of them are aligned.
fn float_at(base: u32, index: u32, kind: u32) -> u32 {
  if (kind == F32) { return payload[(base >> 2u) + index]; }
  let at = base + 2u * index;
  let half = (payload[at >> 2u] >> ((at & 2u) << 3u)) & 0xffffu;
  if (kind == F16) { return widen(half); }
  return half << 16u;
}

// The table entry of weight i, before any rotation.
fn trellis(c: Component, i: u32) -> i32 {
  let end = ((i >> c.shift) + 1u) * c.bits;
  var window: u32;
  if (end >= 8u) {
    window = bits_at(c.codes, end - 8u) & 255u;
  } else {
    window = (bits_at(c.codes, 0u) << (8u - end)) & 255u;
  }
  let at = c.table + (window << c.shift) + (i & ((1u << c.shift) - 1u));
  // Sign extension of a byte.
  return bitcast<i32>(tables[at >> 2u] << (24u - ((at & 3u) << 3u))) >> 24u;
}

// The integer that the scale multiplies; for a rotated vector, the one before the rotation.
fn integer(c: Component, i: u32) -> i32 {
  switch (c.kind) {
    case SIGN: { return 1 - 2 * code(c.codes, i, 1u); }
    case AFFINE: { return code(c.codes, i, c.bits) - code(c.zero_points, i >> c.group, c.bits); }
    default: { return trellis(c, i); }
  }
}

fn scale_of(c: Component, i: u32) -> u32 {
  return float_at(c.scales, i >> c.group, c.scale);
}

// Integer times scale, as bits. The product is exact, so the device's multiplication gives these bits unless a zero, a
// subnormal number, an infinity or NaN is involved; then \`multiply\` computes it.
fn scaled(n: i32, scale: u32) -> u32 {
  let exponent = (scale >> 23u) & 255u;
  if (n != 0 && exponent > 0u && exponent < 241u) {
    return bitcast<u32>(f32(n) * bitcast<f32>(scale));
  }
  return multiply(select(bitcast<u32>(f32(n)), 0u, n == 0), scale);
}

// A weight, as bits; +0 for a rotated vector and for the codec zero.
fn weight_bits(c: Component, i: u32) -> u32 {
  if (c.kind == ZERO || c.kind == ROTATED) { return 0u; }
  if (c.kind == RAW) { return float_at(c.codes, i, c.bits); }
  return scaled(integer(c, i), scale_of(c, i));
}

// A weight for a product; for a rotated vector, the one before the rotation.
fn weight(c: Component, i: u32) -> f32 {
  if (c.kind == RAW) { return bitcast<f32>(float_at(c.codes, i, c.bits)); }
  return f32(integer(c, i)) * bitcast<f32>(scale_of(c, i));
}

// Whether the rotation changes the sign of a row of the matrix of 64 rows (spec clause 8.6.1).
fn turned(row: u32) -> bool {
  return (countOneBits(row & (row >> 1u) & 0x15u) & 1u) == 1u;
}
`;
