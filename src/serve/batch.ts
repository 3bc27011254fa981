/**
 * One batch, many tenants: rows that use different adapters, or none, as in S-LoRA and Punica.
 *
 * Rows are grouped by the content behind their leases, and each group is applied at once. A tenant's result depends only on
 * its own rows, not on other tenants in the batch or on the position of its rows. If one tenant's adapter does
 * not fit, the result reports it, its rows stay unchanged, and the other rows are applied.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";
import type { Activations } from "./activations.ts";
import type { ApplyOptions } from "./apply.ts";
import type { AdapterLease } from "./lease.ts";

/** The result of a batch. */
export interface BatchResult {
  /** Number of rows to which an adapter was applied. */
  readonly applied: number;
  /** Number of groups: how often weights were read. */
  readonly groups: number;
  /** Rows that are unchanged because their adapter could not be applied, with the reason. */
  readonly failures: readonly { readonly rows: readonly number[]; readonly error: unknown }[];
}

/**
 * Applies the module of each row's own adapter to a batch.
 *
 * @param module name of the layer. Rows whose adapters do not change it stay unchanged, which is not a failure.
 * @param leases one for each row; `undefined` for rows without an adapter
 * @param x `[rows][in · kernel]`
 * @param y `[rows][out]`
 * @throws LqaError ACTIVATION_SHAPE if x or y cannot be divided into that many rows; then nothing is changed. Errors of
 *   one adapter (shapes, CANNOT_APPLY, a released lease, a module that is not loaded) are in the result.
 */
export function applyBatch(
  module: string,
  leases: readonly (AdapterLease | undefined)[],
  x: Activations,
  y: Activations,
  options: Omit<ApplyOptions, "rows"> = {},
): BatchResult {
  const count = leases.length;
  for (const [name, array] of Object.entries({ x, y }))
    if (count === 0 ? array.length > 0 : array.length % count !== 0)
      fail(KIND.ACTIVATION_SHAPE, {
        where: `${name} of module "${module}"`,
        expected: `${count} rows`,
        actual: `${array.length} elements`,
      });
  const groups = new Map<unknown, { readonly lease: AdapterLease; readonly rows: number[] }>();
  leases.forEach((lease, row) => {
    if (lease === undefined) return;
    // Leases with equal content are one group. A released lease has no content, and applying it throws.
    const key = lease.released ? lease : lease.content;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { lease, rows: [row] });
    else group.rows.push(row);
  });
  let applied = 0;
  const failures: { rows: readonly number[]; error: unknown }[] = [];
  for (const { lease, rows } of groups.values()) {
    try {
      assertRowShape(lease.shape(module), x.length / count, y.length / count);
      if (lease.apply(module, x, y, { ...options, rows })) applied += rows.length;
    } catch (error) {
      failures.push({ rows, error });
    }
  }
  return { applied, groups: groups.size, failures };
}

/** Refuses rows of another length: a module half as wide would fit twice as many rows, and mix those of different tenants. */
function assertRowShape(shape: ModuleShape | undefined, n: number, out: number): void {
  if (shape === undefined || (inputLength(shape) === n && shape.out === out)) return;
  fail(KIND.ACTIVATION_SHAPE, {
    where: `module "${shape.name}"`,
    expected: `rows of ${inputLength(shape)} and ${shape.out}`,
    actual: `rows of ${n} and ${out}`,
  });
}
