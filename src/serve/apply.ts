/**
 * Applies a packed module to rows of activations: with the kernel if WebAssembly with SIMD is available, else with the plain
 * path. Both give the same bits (`apply-plain.ts` defines them).
 *
 * @module
 */
import { assertApplicable, type ResidentModule } from "../core/format.ts";

import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { f16ToNumber, numberToF16 } from "../floats.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";
import { type Activations, type RowList, type Rows, readRow, rowsOf, writeRow } from "./activations.ts";
import { applyRowPlainly } from "./apply-plain.ts";
import { ApplyKernel } from "./kernels/apply-kernel.ts";

import { rotating } from "./rotating.ts";

/** How to apply a module. */
export interface ApplyOptions {
  /** Rows of x and y that take part, in any order, each at most once. Default: all. */
  readonly rows?: RowList | undefined;
  /** Index of the expert; required for a module with more than one. */
  readonly expert?: number | undefined;
  /**
   * Makes the update of a row the same, to the last bit, for any number of rows. Takes up to a quarter more time for
   * many rows if weights are rotated. Default false.
   */
  readonly batchInvariant?: boolean | undefined;
}

/** A kernel whose memory has grown above this is released. */
const KEPT_BYTES = 2 ** 26;

let shared: ApplyKernel | undefined | null;

/**
 * y += multiplier · B'(A'x) for rows of x, directly from packed planes: nothing is decoded to memory. If the module has a bias,
 * it is added after the update, with one more rounding.
 *
 * The update of a row depends, to the last bit, only on the module, that row and whether there are more than four rows: not on
 * the contents of the other rows, and not on whether WebAssembly is available. Sums are of binary32 in the order that
 * `docs/serving.md` gives. The weight of a layer may have either base layout; a convolution takes unfolded input, one row for
 * each position, in the order (in, kernel…).
 * @param x `[rows][in · kernel]`
 * @param y `[rows][out]`, the output of the base layer; may have another element type than x
 * @throws LqaError ACTIVATION_SHAPE, before y is touched, if arrays, rows or the expert do not fit the module; CANNOT_APPLY
 *   for an embedding and a grouped convolution
 */
export function applyPacked(
  module: ResidentModule,
  x: Activations,
  y: Activations,
  options: ApplyOptions = {},
): void {
  const { shape } = module;
  assertApplicable(shape);
  const expert = expertOf(shape, options.expert);
  const rows = rowsOf(shape, x, y, options.rows, options.batchInvariant);
  if (shared === undefined) shared = ApplyKernel.make() ?? null;
  const done = shared?.apply(module, expert, rows) ?? 0;
  if (shared && shared.heldBytes > KEPT_BYTES) shared = undefined;
  if (done < rows.list.length) applyRowsPlainly(module, expert, rows, done);
  if (module.bias !== undefined)
    addBias(module.bias.subarray(expert * shape.out, (expert + 1) * shape.out), rows);
}

function addBias(bias: Float32Array, { y, list }: Rows): void {
  for (let i = 0; i < list.length; i++) {
    const at = list[i]! * bias.length;
    if (y instanceof Float32Array) for (let o = 0; o < bias.length; o++) y[at + o]! += bias[o]!;
    else for (let o = 0; o < bias.length; o++) y[at + o] = numberToF16(f16ToNumber(y[at + o]!) + bias[o]!);
  }
}

/** Applies the module to the rows from index `first` of the list on, with the plain path. */
export function applyRowsPlainly(
  module: ResidentModule,
  expert: number,
  { x, y, list, batchInvariant }: Rows,
  first: number,
): void {
  const { out } = module.shape;
  const n = inputLength(module.shape);
  const turns = rotating(list.length, [n, out], batchInvariant);
  for (let i = first; i < list.length; i++) {
    const row = readRow(y, list[i]!, out);
    applyRowPlainly(module, expert, readRow(x, list[i]!, n), row, turns);
    writeRow(y, list[i]!, row);
  }
}

function expertOf({ name, experts }: ModuleShape, expert: number | undefined): number {
  const chosen = expert ?? (experts === 1 ? 0 : -1);
  if (Number.isInteger(chosen) && chosen >= 0 && chosen < experts) return chosen;
  return fail(KIND.ACTIVATION_SHAPE, {
    where: `module "${name}"`,
    expected: `an expert from 0 to ${experts - 1}`,
    actual: expert === undefined ? "none" : expert,
  });
}
