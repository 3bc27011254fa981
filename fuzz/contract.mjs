// The contract every target checks (SECURITY.md): whatever the bytes are, a call ends with a result or an LqaError, within
// its time, and without reserving more memory than its budget.
//
// A target is a module with `fuzz(data)`, the form Jazzer.js and run.mjs call. The last byte of the data is no part of the
// input: it chooses how the target treats it, so that every file of the corpus is a real file and one byte.
import { getHeapStatistics } from "node:v8";
import { isLqaError } from "../dist/errors.js";

// Stack traces are most of the cost of an error, and nobody reads them here.
Error.stackTraceLimit = 0;

/** Inputs above this are cut: no rule needs more to be broken, and the time goes into many instead. */
const MAX_INPUT = 8192;
/** What the targets allow the library to decode into. */
export const BUDGET = 16 * 2 ** 20;
/** Most memory that may be reserved outside the JavaScript heap during one execution: the budget twice, for copies. */
const MEMORY = 2 * BUDGET;
/** Most time of one execution. Ordinary ones take microseconds; the machine may be busy. */
const MILLISECONDS = 1000;

/** Splits the data into the input and the number of the variant. */
export function parts(data) {
  const end = Math.min(data.length, MAX_INPUT) - 1;
  // A copy: an offset of its own in a buffer of its own, as a caller's array has.
  return end < 0 ? [new Uint8Array(0), 0] : [new Uint8Array(data.subarray(0, end)), data[end]];
}

/** The result of `call`, or its LqaError. Everything else it throws is a finding. */
export function outcome(call) {
  try {
    return { value: call() };
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return { error };
  }
}

/** As {@link outcome}, of a promise. */
export async function asyncOutcome(call) {
  try {
    return { value: await call() };
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return { error };
  }
}

/** Makes a target of a function of (input, variant), synchronous or not, that is also checked for time and memory. */
export function target(run) {
  return (data) => {
    const [input, variant] = parts(data);
    const memory = getHeapStatistics().external_memory;
    const begin = performance.now();
    const again = () => run(input, variant);
    const finish = () => {
      const grown = getHeapStatistics().external_memory - memory;
      if (grown > MEMORY) throw new Error(`reserved ${grown} bytes for an input of ${input.length}`);
      if (performance.now() - begin > MILLISECONDS) return confirmSlow(again);
    };
    const running = again();
    return running instanceof Promise ? running.then(finish) : finish();
  };
}

/** A busy machine makes anything slow once. Slow by its own CPU time when repeated is a finding. */
function confirmSlow(again) {
  const begin = process.cpuUsage();
  const check = () => {
    const { user, system } = process.cpuUsage(begin);
    if ((user + system) / 1000 > MILLISECONDS)
      throw new Error(`took ${(user + system) / 1000} ms of CPU time`);
  };
  const running = again();
  return running instanceof Promise ? running.then(check) : check();
}

/** Fails the target. */
export function expect(condition, message) {
  if (!condition) throw new Error(message);
}
