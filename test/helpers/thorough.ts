/**
 * How much is tried where a test could try every byte, every file or any number of cases. `npm test` takes a sample;
 * `LQA_THOROUGH=1 npm test` takes everything, as `.ci/long` does.
 */
export const thorough: boolean = process.env.LQA_THOROUGH === "1";

/** So many cases of a test, or a tenth of them. */
export const cases = (count: number): number => (thorough ? count : Math.ceil(count / 10));

/** Everything, or the first, the last and one in `step` between them. */
export function sample<T>(all: readonly T[], step: number): readonly T[] {
  return thorough ? all : all.filter((_, i) => i % step === 0 || i === all.length - 1);
}

/** The numbers from `from` to `to`, both included, or a sample of them. */
export const numbers = (from: number, to: number, step: number): readonly number[] =>
  sample(
    Array.from({ length: to - from + 1 }, (_, i) => from + i),
    step,
  );
