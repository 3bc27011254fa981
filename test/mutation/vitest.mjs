// As much of Vitest as the tests of the reader use, so that they can be run over and over in one process: `collect` loads a
// test file, and its tests are then functions. `expect` is Vitest's own.
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  customMatchers,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from "@vitest/expect";
import * as chai from "chai";

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin);
export const expect = Object.assign(
  (value, message) => chai.expect(value, message),
  chai.expect,
  globalThis[ASYMMETRIC_MATCHERS_OBJECT],
);
setState({ assertionCalls: 0 }, expect);
chai.expect.extend(expect, customMatchers);

let path = [];
let before = [];
let found = [];

/** The tests of a file: [{ id, run }]. What `beforeAll` was given is done when the file has been loaded. */
export async function collect(name, load) {
  [path, before, found] = [[name], [], []];
  await load();
  const tests = found;
  for (const prepare of before) await prepare();
  return tests;
}

export const beforeAll = (prepare) => void before.push(prepare);

export function describe(name, body) {
  path.push(name);
  body();
  path.pop();
}

export function test(name, ...rest) {
  const run = rest.find((argument) => typeof argument === "function");
  found.push({ id: [...path, name].join(" > "), run });
}

const each = (define) => (rows) => (name, body) => {
  for (const [i, row] of rows.entries())
    define(`${name} #${i}`, () => body(...(Array.isArray(row) ? row : [row])));
};
describe.each = each(describe);
describe.skipIf = (skipped) => (skipped ? () => {} : describe);
test.each = each(test);
export const it = test;
