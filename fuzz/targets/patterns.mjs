// Keys of rank_pattern, one a line behind a path: compiling and looking up ends within the budget of a configuration, with a
// result or an LqaError; and where JavaScript's expressions mean the same as Python's, its answer is the same.
import { configurationMeter } from "../../dist/adapters/json.js";
import { compilePatterns, lookUp } from "../../dist/adapters/peft/pattern.js";
import { expect, outcome, target } from "../contract.mjs";
import { path, pattern } from "../grammar.mjs";

/** Longer than this, or with more repeats, JavaScript would backtrack for hours. */
const MOST = { path: 14, key: 60, repeats: 3 };

export function generate(random) {
  const keys = Array.from({ length: 1 + random(3) }, () => pattern(random, random(5)));
  return Buffer.from(`${[path(random), ...keys].join("\n")}\0`);
}

export const fuzz = target((input) => {
  const [name, ...keys] = new TextDecoder().decode(input).split("\n");
  const table = new Map(keys.map((key, i) => [key, i]));
  const { value: found, error } = outcome(() =>
    lookUp(compilePatterns(table, "rank_pattern", configurationMeter("fuzz")), name, -1),
  );
  expect(error === undefined || /^(SOURCE_CONFIG|BUDGET)$/.test(error.kind), `${error?.kind} of a pattern`);
  if (found === undefined) return;
  const answers = [...table].map(([key, i]) => [i, reference(key, name)]);
  if (answers.some(([, answer]) => answer === undefined)) return;
  const first = answers.find(([, answer]) => answer)?.[0] ?? -1;
  expect(found === first, `${found}, where JavaScript finds ${first}: ${JSON.stringify([name, ...keys])}`);
});

/** What JavaScript answers; undefined where it means something else, or may not end. */
function reference(key, name) {
  // Empty classes, unions of classes and Unicode's tables differ, and a final line feed does.
  if (!/^[ -~]*$/.test(name + key) || /\[\^?\]/.test(key)) return undefined;
  const repeats = key.match(/[*+]|\{/g)?.length ?? 0;
  if (name.length > MOST.path || key.length > MOST.key || repeats > MOST.repeats || /\d{3}/.test(key))
    return undefined;
  try {
    return new RegExp(`^(?:(.*\\.)?(${key})$)`, "u").test(name);
  } catch {
    return undefined;
  }
}
