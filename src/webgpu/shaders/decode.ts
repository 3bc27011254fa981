/**
 * Decoding on the device: weights of one factor of all experts, as binary32 or binary16, in either layout.
 *
 * `decode` takes the vectors that are not rotated. A workgroup takes a few of them, or a part of one, so that all its
 * invocations read the same encoding. Two weights of binary16 share a word: two neighbours in a vector, or one weight of each
 * of two neighbouring vectors. If a size is odd, the two weights of a word can be of other places; then `decodeWords`
 * computes the place of each weight.
 *
 * Both write zeros for rotated vectors. `decodeRotated` runs after them and fills those in: the rotation mixes 64 weights,
 * which are one column of a matrix, and a workgroup takes four columns. The two weights of a word may belong to two
 * workgroups, so it writes atomically.
 *
 * @module
 */
import { kernel, rotation } from "./kernel.ts";
import { WEIGHTS } from "./weights.ts";

const CALL = /* wgsl */ `
struct Call { factor: u32, peft: u32, multiply: u32, half: u32 }
@group(0) @binding(3) var<uniform> call: Call;

const ROTATED_LIST = 2u;
const ROTATED_COUNT = 3u;

// Multiplies and narrows a decoded weight as the call requires.
fn finished(bits: u32) -> u32 {
  var value = bits;
  if (call.multiply != 0u) { value = multiply(value, program[MULTIPLIER]); }
  if (call.half != 0u) { return narrow(value); }
  return value;
}
`;

/** Words that an invocation of `decode` writes. In PEFT's layout they are contiguous. */
export const RUN = 8;

/** WGSL of `decode`. */
export const DECODE_SHADER: string = /* wgsl */ `${WEIGHTS}${CALL}
@group(0) @binding(4) var<storage, read_write> weights: array<u32>;
const RUN = ${RUN}u;

fn bits_of(c: Component, i: u32) -> u32 {
  if (c.kind == ROTATED) { return 0u; }
  return finished(weight_bits(c, i));
}

${kernel(
  64,
  /* wgsl */ `
  let length = of_factor(call.factor, LENGTH);
  let rank = program[RANK];
  // Sizes below are in words of the target, which hold two weights of binary16.
  let half = call.half;
  if (call.peft != 0u) {
    let row = rank >> half;
    let tiles = (row + RUN - 1u) / RUN;
    let blocks = (length + 63u) / 64u;
    let expert = flat / tiles / blocks;
    let i = flat / tiles % blocks * 64u + lane;
    if (expert >= program[EXPERTS] || i >= length) { return; }
    let first = flat % tiles * RUN;
    let at = (expert * length + i) * row;
    for (var k = first; k < min(first + RUN, row); k++) {
      var word = bits_of(component(call.factor, k << half, expert), i);
      if (half != 0u) { word |= bits_of(component(call.factor, (k << 1u) + 1u, expert), i) << 16u; }
      weights[at + k] = word;
    }
  } else {
    let row = length >> half;
    let blocks = (row + 64u * RUN - 1u) / (64u * RUN);
    let vector = flat / blocks;
    if (vector >= program[EXPERTS] * rank) { return; }
    let c = component(call.factor, vector % rank, vector / rank);
    let end = min((flat % blocks + 1u) * 64u * RUN, row);
    for (var k = flat % blocks * 64u * RUN + lane; k < end; k += 64u) {
      var word = bits_of(c, k << half);
      if (half != 0u) { word |= bits_of(c, (k << 1u) + 1u) << 16u; }
      weights[vector * row + k] = word;
    }
  }
`,
)}`;

/** WGSL of `decodeWords`, for binary16 only. */
export const DECODE_WORDS: string = /* wgsl */ `${WEIGHTS}${CALL}
@group(0) @binding(4) var<storage, read_write> weights: array<u32>;

fn element(number: u32) -> u32 {
  let length = of_factor(call.factor, LENGTH);
  let rank = program[RANK];
  let expert = number / (rank * length);
  let own = number - expert * rank * length;
  let last = select(length, rank, call.peft != 0u);
  let first = own / last;
  let second = own - first * last;
  let c = component(call.factor, select(first, second, call.peft != 0u), expert);
  if (c.kind == ROTATED) { return 0u; }
  let bits = weight_bits(c, select(second, first, call.peft != 0u));
  return finished(bits);
}

${kernel(
  64,
  /* wgsl */ `
  let word = flat * 64u + lane;
  let count = program[EXPERTS] * program[RANK] * of_factor(call.factor, LENGTH);
  let first = 2u * word;
  if (first >= count) { return; }
  var pair = element(first);
  if (first + 1u < count) { pair |= element(first + 1u) << 16u; }
  weights[word] = pair;
`,
)}`;

/** WGSL of `decodeRotated`. */
export const DECODE_ROTATED_SHADER: string = /* wgsl */ `${WEIGHTS}${CALL}${rotation("i32")}
@group(0) @binding(4) var<storage, read_write> weights: array<atomic<u32>>;
${kernel(
  256,
  /* wgsl */ `
  let length = of_factor(call.factor, LENGTH);
  let blocks = blocks_of(length);
  let listed = of_factor(call.factor, ROTATED_COUNT);
  if (flat >= program[EXPERTS] * listed * blocks) { return; }
  let expert = flat / blocks / listed;
  let number = program[of_factor(call.factor, ROTATED_LIST) + flat / blocks % listed];
  let c = component(call.factor, number, expert);
  let place = place_in(length, flat % blocks, lane);
  let i = place.i;
  var own = 0;
  if (place.valid) { own = trellis(c, i); }
  let value = rotated_back(own, place, lane);
  if (!place.valid) { return; }
  let bits = finished(scaled(value, scale_of(c, i)));
  let rank = program[RANK];
  let at = expert * rank * length + select(number * length + i, i * rank + number, call.peft != 0u);
  if (call.half == 0u) {
    atomicStore(&weights[at], bits);
  } else {
    atomicOr(&weights[at >> 1u], bits << ((at & 1u) << 4u));
  }
`,
)}`;
