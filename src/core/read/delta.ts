/**
 * ΔW of one module as a dense matrix (spec clause 9.1), for merging it into a base weight or comparing it with one.
 *
 * Applying an adapter does not need it: B · (A · x) is rank · (out + in) multiplications, ΔW · x is out · in.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { multiplyFactors } from "../codecs/product.ts";
import { CHUNK_BUDGET } from "./budget.ts";
import { decodeModule } from "./decode.ts";
import { allocateBytes } from "./memory.ts";

export interface DeltaOptions {
  /** Maximum bytes of the result plus the factors. Default 1 GiB. */
  readonly budgetBytes?: number;
  /** Array to write to, of exactly the right length. */
  readonly into?: Float32Array;
}

/**
 * ΔW = multiplier · B · A, `[experts][out][in · kernel]`, whatever the layout of the base weight.
 *
 * B is scaled first, as `{ multiplier: true }` does. An entry then begins as the product of the first component, and
 * those of the others are added in their order (largest singular value first); every product and every sum is rounded to
 * binary32. So the result is the same on every machine; it is not the closest binary32 to the exact sum.
 *
 * @param packed as `file.packed(module)` gives them
 * @throws LqaError BUDGET; TARGET_SIZE if `into` has the wrong length or type
 */
export function decodeDelta(
  module: ModuleShape,
  packed: PackedFactors,
  options: DeltaOptions = {},
): Float32Array {
  const { rank, experts, out } = module;
  const n = inputLength(module);
  const where = `ΔW of module "${module.name}"`;
  const length = experts * out * n;
  const bytes = 4 * experts * rank * (out + n) + (options.into === undefined ? 4 * length : 0);
  const budget = options.budgetBytes ?? CHUNK_BUDGET;
  if (bytes > budget) fail(KIND.BUDGET, { where, expected: `at most ${budget} bytes`, actual: bytes });
  if (options.into !== undefined && !(options.into instanceof Float32Array && options.into.length === length))
    fail(KIND.TARGET_SIZE, {
      where,
      expected: `Float32Array of ${length}`,
      actual: `${options.into.constructor.name} of ${options.into.length}`,
    });
  const result = options.into ?? new Float32Array(allocateBytes(4 * length, where));
  const decoded = decodeModule(module, packed, { multiplier: true, budgetBytes: budget });
  const [b, a] = [decoded.b.data, decoded.a.data];
  for (let e = 0; e < experts; e++)
    multiplyFactors(
      b.subarray(e * out * rank, (e + 1) * out * rank),
      rank,
      a.subarray(e * rank * n, (e + 1) * rank * n),
      n,
      result.subarray(e * out * n, (e + 1) * out * n),
    );
  return result;
}
