/**
 * How properties are run, and what becomes of a failure.
 *
 * - `npx vitest run test/property` runs each property a few times with one seed: the same every time, in seconds.
 * - `LQA_PROPERTY_RUNS=100` runs each 100 times as often, `LQA_PROPERTY_SEED=7` with another seed.
 * - A failure prints `seed`, `path` and the counterexample. Keep it: the counterexample becomes an entry of `examples` of that
 *   property, with a line that says what it broke (fast-check runs examples first, whatever the seed), and if the fault
 *   was in a file that readers judge, a case of the conformance suite (conformance/generate/).
 */
import fc from "fast-check";

const FACTOR = Number(process.env.LQA_PROPERTY_RUNS ?? 1);
const SEED = Number(process.env.LQA_PROPERTY_SEED ?? 20_261_125);
// Without a number of runs fast-check runs nothing, and everything holds.
if (!(FACTOR > 0) || !Number.isInteger(SEED))
  throw new Error("LQA_PROPERTY_RUNS is a number above 0, LQA_PROPERTY_SEED an integer");

/** Time of a property that runs `FACTOR` times as often. */
export const TIMEOUT: number = 30_000 + 30_000 * FACTOR;

/** Asserts a property for `examples`, and `runs` times, or as often as the environment wants. */
export async function holds<T>(
  runs: number,
  property: fc.IAsyncProperty<T> | fc.IProperty<T>,
  examples: T[] = [],
): Promise<void> {
  const numRuns = Math.ceil(runs * FACTOR);
  await fc.assert(property as fc.IAsyncProperty<T>, { numRuns, seed: SEED, examples });
  if (FACTOR > 1) console.log(`${numRuns} runs`);
}
