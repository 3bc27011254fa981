/**
 * Parts that kernels share: the entry point, and the rotation (spec clause 8.6.1).
 *
 * @module
 */

/** An entry point. In its body `flat` is the number of the workgroup, `lane` that of the invocation in it. */
export const kernel = (size: number, body: string): string => /* wgsl */ `
@compute @workgroup_size(${size})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let flat = group.x + group.y * groups.x;
${body}}
`;

/**
 * The rotation, for workgroups of 256 invocations. It mixes 64 weights, which are a column of a matrix. A workgroup takes
 * four columns, and one more workgroup takes the tail: the last length mod 64 weights.
 */
export const rotation = (type: "f32" | "vec4<f32>" | "i32"): string => /* wgsl */ `
var<workgroup> mixed: array<${type}, 256>;

// Place of an invocation: its row of the matrix, its weight, whether that is in the tail, and whether it exists.
struct Place { turn: u32, i: u32, in_tail: bool, valid: bool }

fn blocks_of(length: u32) -> u32 {
  return (length / 64u + 3u) / 4u + min(length % 64u, 1u);
}

fn place_in(length: u32, block: u32, lane: u32) -> Place {
  let columns = length / 64u;
  let turn = lane >> 2u;
  let column = block * 4u + (lane & 3u);
  let in_tail = block == (columns + 3u) / 4u;
  let i = select(turn * columns + column, columns * 64u + lane, in_tail);
  return Place(turn, i, in_tail, select(column < columns, lane < length % 64u, in_tail));
}

// The sums and differences of each column. All invocations of a workgroup must call it.
fn transformed(own: ${type}, turn: u32, lane: u32) -> ${type} {
  var value = own;
  for (var half = 1u; half < 64u; half <<= 1u) {
    mixed[lane] = value;
    workgroupBarrier();
    let other = mixed[lane ^ (half << 2u)];
    value = select(value + other, other - value, (turn & half) != 0u);
    workgroupBarrier();
  }
  return value;
}

// Undoes the rotation: transforms and turns the columns, and multiplies the tail by 8.
fn rotated_back(own: ${type}, place: Place, lane: u32) -> ${type} {
  let value = transformed(own, place.turn, lane);
  if (place.in_tail) { return ${type}(8) * own; }
  return select(value, -value, turned(place.turn));
}
`;
