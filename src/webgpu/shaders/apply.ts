/**
 * Packed application on the device: y += multiplier · B'(A' x), for rows of x, in binary32.
 *
 * Five kernels run one after the other:
 * - `turn` multiplies rows by the transpose of the rotation, if A' has rotated vectors.
 * - `project` multiplies A' by rows, in chunks of {@link CHUNK} weights.
 * - `expand` sums those chunks, and multiplies by the vectors of B' that are not rotated.
 * - `expandRotated` does the same for the rotated vectors of B', which mix sums of 64 outputs.
 * - `round` adds to rows of binary16, two to a word; the kernels before it then write to scratch memory.
 *
 * No result depends on an order that the device chooses, but the device may fuse and round operations as it likes:
 * `docs/serving.md` has the bound.
 *
 * @module
 */
import { kernel, rotation } from "./kernel.ts";
import { WEIGHTS } from "./weights.ts";

/** Weights of a component that one workgroup of `project` takes. */
export const CHUNK = 1024;
/** Rows that a workgroup takes. */
export const TILE = 8;
/** Rows that a workgroup of `expandRotated` takes. */
export const ROTATED_TILE = 4;

const CALL = /* wgsl */ `
struct Call { rows: u32, expert: u32, x_half: u32, chunks: u32, add: u32 }
@group(0) @binding(3) var<uniform> call: Call;

const B = 0u;
const A = 1u;
const STRAIGHT_LIST = 4u;
const STRAIGHT_COUNT = 5u;
const ROTATED_LIST = 6u;
const ROTATED_COUNT = 7u;
const CHUNK = ${CHUNK}u;
`;

/** h is `[chunks][rows][rank]`: the product of A' with a row, for each chunk of weights. */
const H = /* wgsl */ `
fn h_at(chunk: u32, row: u32, number: u32) -> u32 {
  return (chunk * call.rows + row) * program[RANK] + number;
}
`;

const X = /* wgsl */ `
@group(0) @binding(4) var<storage, read> x: array<u32>;

fn input(at: u32) -> f32 {
  if (call.x_half == 0u) { return bitcast<f32>(x[at]); }
  return bitcast<f32>(widen((x[at >> 1u] >> ((at & 1u) << 4u)) & 0xffffu));
}
`;

/** WGSL of `turn`. */
export const TURN: string = /* wgsl */ `${WEIGHTS}${CALL}${X}${rotation("f32")}
@group(0) @binding(5) var<storage, read_write> rotated: array<f32>;
${kernel(
  256,
  /* wgsl */ `
  let length = of_factor(A, LENGTH);
  let blocks = blocks_of(length);
  if (flat >= call.rows * blocks) { return; }
  let place = place_in(length, flat % blocks, lane);
  let at = flat / blocks * length + place.i;
  var own = 0.0;
  if (place.valid) { own = input(at); }
  var value = transformed(select(own, -own, turned(place.turn)), place.turn, lane);
  if (place.in_tail) { value = 8.0 * own; }
  if (place.valid) { rotated[at] = value; }
`,
)}`;

/** WGSL of `project`. */
export const PROJECT: string = /* wgsl */ `${WEIGHTS}${CALL}${X}${H}
@group(0) @binding(5) var<storage, read> rotated: array<f32>;
@group(0) @binding(6) var<storage, read_write> h: array<f32>;
var<workgroup> low: array<vec4<f32>, 64>;
var<workgroup> high: array<vec4<f32>, 64>;

fn input_of(turn: bool, row: u32, i: u32) -> f32 {
  if (row >= call.rows) { return 0.0; }
  let at = row * of_factor(A, LENGTH) + i;
  if (turn) { return rotated[at]; }
  return input(at);
}

${kernel(
  64,
  /* wgsl */ `
  let straight = of_factor(A, STRAIGHT_COUNT);
  let listed = straight + of_factor(A, ROTATED_COUNT);
  let tiles = (call.rows + ${TILE - 1}u) / ${TILE}u;
  if (flat >= tiles * call.chunks * listed) { return; }
  let place = flat % listed;
  let chunk = flat / listed % call.chunks;
  let row = flat / listed / call.chunks * ${TILE}u;
  // The rotated components follow the straight ones.
  let number = program[of_factor(A, STRAIGHT_LIST) + place];
  let turn = place >= straight;
  let c = component(A, number, call.expert);
  let end = min((chunk + 1u) * CHUNK, of_factor(A, LENGTH));
  let few = call.rows - row <= 4u;
  var sum = vec4<f32>();
  var more = vec4<f32>();
  for (var i = chunk * CHUNK + lane; i < end; i += 64u) {
    let w = weight(c, i);
    sum += w * vec4(
      input_of(turn, row, i), input_of(turn, row + 1u, i), input_of(turn, row + 2u, i), input_of(turn, row + 3u, i)
    );
    if (!few) {
      more += w * vec4(
        input_of(turn, row + 4u, i), input_of(turn, row + 5u, i), input_of(turn, row + 6u, i), input_of(turn, row + 7u, i)
      );
    }
  }
  low[lane] = sum;
  high[lane] = more;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) {
      low[lane] += low[lane + half];
      high[lane] += high[lane + half];
    }
  }
  workgroupBarrier();
  if (lane < ${TILE}u && row + lane < call.rows) {
    let own = select(high[0][lane & 3u], low[0][lane & 3u], lane < 4u);
    h[h_at(chunk, row + lane, number)] = bitcast<f32>(program[MULTIPLIER]) * own;
  }
`,
)}`;

/** Functions of {@link EXPAND} and {@link EXPAND_ROTATED}: read h of a row and a component, and write a sum. */
const OUTPUT = /* wgsl */ `
@group(0) @binding(4) var<storage, read> h: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

fn h_of(row: u32, number: u32) -> f32 {
  if (row >= call.rows) { return 0.0; }
  var sum = 0.0;
  for (var chunk = 0u; chunk < call.chunks; chunk++) { sum += h[h_at(chunk, row, number)]; }
  return sum;
}

fn four_of(row: u32, number: u32) -> vec4<f32> {
  return vec4(h_of(row, number), h_of(row + 1u, number), h_of(row + 2u, number), h_of(row + 3u, number));
}

fn put(row: u32, o: u32, sum: f32, add: bool) {
  if (row >= call.rows) { return; }
  let at = row * of_factor(B, LENGTH) + o;
  if (add) { y[at] += sum; } else { y[at] = sum; }
}
`;

/** Variables that {@link sums} needs. */
const SUMS = /* wgsl */ `
var<workgroup> numbers: array<u32, 64>;
var<workgroup> low: array<vec4<f32>, 64>;
var<workgroup> high: array<vec4<f32>, 64>;
`;
/**
 * Code that sums weight `o` times h over the listed components: into `sum` for four rows from `row` on, and, unless `few`,
 * into `more` for the next four. `valid`: whether weight `o` exists.
 */
const sums = (kind: "STRAIGHT" | "ROTATED"): string => /* wgsl */ `
  let list = of_factor(B, ${kind}_LIST);
  let listed = of_factor(B, ${kind}_COUNT);
  var sum = vec4<f32>();
  var more = vec4<f32>();
  for (var first = 0u; first < listed; first += 64u) {
    let some = min(listed - first, 64u);
    workgroupBarrier();
    if (lane < some) {
      let number = program[list + first + lane];
      numbers[lane] = number;
      low[lane] = four_of(row, number);
      if (!few) { high[lane] = four_of(row + 4u, number); }
    }
    workgroupBarrier();
    if (valid) {
      for (var k = 0u; k < some; k++) {
        let w = weight(component(B, numbers[k], call.expert), o);
        sum += w * low[k];
        if (!few) { more += w * high[k]; }
      }
    }
  }
`;

/** WGSL of `expand`. */
export const EXPAND: string = /* wgsl */ `${WEIGHTS}${CALL}${H}${OUTPUT}${SUMS}
${kernel(
  64,
  /* wgsl */ `
  let length = of_factor(B, LENGTH);
  let blocks = (length + 63u) / 64u;
  let tiles = (call.rows + ${TILE - 1}u) / ${TILE}u;
  if (flat >= tiles * blocks) { return; }
  let o = flat % blocks * 64u + lane;
  let valid = o < length;
  let row = flat / blocks * ${TILE}u;
  let few = call.rows - row <= 4u;
  ${sums("STRAIGHT")}
  if (!valid) { return; }
  let add = call.add != 0u;
  for (var r = 0u; r < 4u; r++) {
    put(row + r, o, sum[r], add);
    if (!few) { put(row + 4u + r, o, more[r], add); }
  }
`,
)}`;

/** WGSL of `expandRotated`. */
export const EXPAND_ROTATED: string = /* wgsl */ `${WEIGHTS}${CALL}${H}${OUTPUT}${SUMS}${rotation("vec4<f32>")}
${kernel(
  256,
  /* wgsl */ `
  let length = of_factor(B, LENGTH);
  let blocks = blocks_of(length);
  let tiles = (call.rows + ${ROTATED_TILE - 1}u) / ${ROTATED_TILE}u;
  if (flat >= tiles * blocks) { return; }
  let place = place_in(length, flat % blocks, lane);
  let o = place.i;
  let valid = place.valid;
  let row = flat / blocks * ${ROTATED_TILE}u;
  let few = true;
  ${sums("ROTATED")}
  let value = rotated_back(sum, place, lane);
  if (!valid) { return; }
  // \`expand\` ran before and wrote the straight components.
  for (var r = 0u; r < ${ROTATED_TILE}u; r++) { put(row + r, o, value[r], true); }
`,
)}`;

/** WGSL of `round`. */
export const ROUND: string = /* wgsl */ `${WEIGHTS}${CALL}
@group(0) @binding(4) var<storage, read> update: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<u32>;

fn half_of(half: u32, at: u32, count: u32) -> u32 {
  if (at >= count) { return half; }
  return narrow(bitcast<u32>(bitcast<f32>(widen(half)) + update[at]));
}

${kernel(
  64,
  /* wgsl */ `
  let count = call.rows * of_factor(B, LENGTH);
  let word = flat * 64u + lane;
  if (2u * word >= count) { return; }
  let both = y[word];
  let low = half_of(both & 0xffffu, 2u * word, count);
  y[word] = low | (half_of(both >> 16u, 2u * word + 1u, count) << 16u);
`,
)}`;
