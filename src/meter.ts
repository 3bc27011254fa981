/**
 * Counts the work that hostile input causes, and ends it with one error.
 *
 * A limit on a length does not bound work that multiplies: a pattern in a configuration of 157 bytes repeats an empty group
 * 8 · 10¹² times. So every parser of foreign input (JSON, patterns, pickles, names) charges a meter for each step, byte or
 * object before it takes the step, reads the byte or creates the object. The caller that starts the work creates the meter
 * and passes it to all parts. Callers choose limits that cost less than a second of CPU time and 64 MiB.
 *
 * @module
 */
import * as KIND from "./error-catalogue.ts";
import { fail } from "./errors.ts";

/** A unit of work. `steps`: elementary operations, about 10 ns each; `objects`: values in memory, about 100 bytes each. */
export type WorkUnit = "steps" | "bytes" | "objects";

/** The limits of a meter for each unit. A unit that is left out is not limited. */
export type WorkLimits = { readonly [unit in WorkUnit]?: number };

/** A count of work against its limits. */
export interface WorkMeter {
  /**
   * Counts work before the caller does it.
   *
   * @param amount 0 or more; Infinity and NaN are above every limit
   * @throws LqaError BUDGET if all amounts together are above the limit of the unit
   */
  charge(unit: WorkUnit, amount: number): void;
}

/**
 * A meter at zero.
 *
 * @param where the input being parsed, for the error: `adapter_config.json`
 * @param advice what the user can do about the error
 */
export function workMeter(where: string, limits: WorkLimits, advice: string): WorkMeter {
  const left = { steps: Infinity, bytes: Infinity, objects: Infinity, ...limits };
  return {
    charge(unit, amount) {
      left[unit] -= amount;
      if (left[unit] >= 0) return;
      const limit = limits[unit] ?? Infinity;
      fail(KIND.BUDGET, {
        where,
        expected: `at most ${limit} ${unit}`,
        actual: `work of ${Number.isFinite(left[unit]) ? limit - left[unit] : "more"} ${unit} or more`,
        advice,
      });
    },
  };
}
