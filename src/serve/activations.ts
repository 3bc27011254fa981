/**
 * Rows of activations: checks the caller's arrays, and reads and writes rows as binary32 for the plain path.
 *
 * @module
 */

import type { HalfArray } from "../core/index.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { f16ToNumber, numberToF16 } from "../floats.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";

/** Row after row: `Float32Array` for binary32, `Float16Array` or `Uint16Array` (bit patterns) for binary16. */
export type Activations = Float32Array | HalfArray;

/** Numbers of the rows of x and y that take part. */
export type RowList = ArrayLike<number>;

/** Checked rows: views on the caller's arrays, with binary16 as bit patterns. */
export interface Rows {
  readonly x: Float32Array | Uint16Array;
  readonly y: Float32Array | Uint16Array;
  readonly list: RowList;
  /** Whether a row has the same result alone and among others, to the last bit: see `rotating.ts`. */
  readonly batchInvariant: boolean;
}

/**
 * Checks that x is `[rows][in · kernel]`, that y is `[rows][out]`, and that the listed rows exist.
 *
 * @throws LqaError ACTIVATION_SHAPE
 */
export function rowsOf(
  shape: ModuleShape,
  x: Activations,
  y: Activations,
  list?: RowList,
  batchInvariant = false,
): Rows {
  const input = inputLength(shape);
  const [ownX, ownY] = [viewOf(x, "x", shape), viewOf(y, "y", shape)];
  const count = y.length / shape.out;
  if (!Number.isInteger(count))
    fail(KIND.ACTIVATION_SHAPE, {
      where: `y of module "${shape.name}"`,
      expected: `rows of ${shape.out}`,
      actual: `${y.length} elements`,
    });
  if (x.length !== count * input)
    fail(KIND.ACTIVATION_SHAPE, {
      where: `x of module "${shape.name}"`,
      expected: `as many rows as y: ${count} of ${input}`,
      actual: `${x.length} elements`,
    });
  if (list === undefined) return { x: ownX, y: ownY, list: firstRows(count), batchInvariant };
  const seen = new Uint8Array(count);
  for (let i = 0; i < list.length; i++) {
    const row = list[i]!;
    if (!(Number.isInteger(row) && row >= 0 && row < count) || seen[row]!++ > 0)
      fail(KIND.ACTIVATION_SHAPE, {
        where: `module "${shape.name}"`,
        expected: `rows from 0 to ${count - 1}, each once`,
        actual: `row ${row}`,
      });
  }
  return { x: ownX, y: ownY, list, batchInvariant };
}

const ONE_ROW = [0];

function firstRows(count: number): RowList {
  if (count === 1) return ONE_ROW;
  const list = new Int32Array(count);
  for (let i = 0; i < count; i++) list[i] = i;
  return list;
}

function viewOf(array: Activations, name: "x" | "y", shape: ModuleShape): Float32Array | Uint16Array {
  if (array instanceof Float32Array || array instanceof Uint16Array) return array;
  const half = (globalThis as { Float16Array?: new () => HalfArray }).Float16Array;
  if (half !== undefined && array instanceof half)
    return new Uint16Array(array.buffer, array.byteOffset, array.length);
  return fail(KIND.ACTIVATION_SHAPE, {
    where: `${name} of module "${shape.name}"`,
    expected: "Float32Array, Float16Array or Uint16Array",
    actual: (array as object | undefined)?.constructor.name ?? String(array),
  });
}

/** A copy of row `row` as binary32. */
export function readRow(values: Float32Array | Uint16Array, row: number, length: number): Float32Array {
  const own = values.subarray(row * length, (row + 1) * length);
  return own instanceof Float32Array ? Float32Array.from(own) : Float32Array.from(own, f16ToNumber);
}

/** Writes a row, rounded to the element type of the array. */
export function writeRow(values: Float32Array | Uint16Array, row: number, from: Float32Array): void {
  if (values instanceof Float32Array) values.set(from, row * from.length);
  else for (let i = 0; i < from.length; i++) values[row * from.length + i] = numberToF16(from[i]!);
}
