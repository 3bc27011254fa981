/** rank_pattern and alpha_pattern: Python's meaning, the first match in file order, and no time to be stolen. */
import { describe, expect, it } from "vitest";
import { compilePatterns, lookUp } from "../../src/dialects/peft/pattern.ts";

const names = [
  "q_proj",
  "model.layers.1.q_proj",
  "model.layers.11.q_proj",
  "layers.1.q_proj",
  "k_proj",
  "xq_proj",
  "model.layers.1.k_proj",
  "q_projx",
  "a]",
  "é",
  "1",
  "a.b{2}",
];

/** Which names Python 3.11 matches with `re.match(rf"(.*\.)?({key})$", name)`. */
const python: [string, number[]][] = [
  ["q_proj", [0, 1, 2, 3]],
  ["^q_proj", [0]],
  ["layers.1.q_proj", [1, 3]],
  ["layers\\.1\\.q_proj", [1, 3]],
  ["model.layers.(0|1).q_proj", [1]],
  ["^model\\.layers\\.\\d+\\.q_proj", [1, 2]],
  [".*q_proj", [0, 1, 2, 3, 5]],
  ["[qk]_proj", [0, 1, 2, 3, 4, 6]],
  ["[^q]_proj", [4, 6]],
  ["(q|k)_proj", [0, 1, 2, 3, 4, 6]],
  ["q_proj|k_proj", [0, 1, 2, 3, 4, 6]],
  ["q.proj", [0, 1, 2, 3]],
  ["layers.1{1,2}.q_proj", [1, 2, 3]],
  ["(?:model\\.)?layers\\.[0-9]+\\.\\w+", [1, 2, 3, 6]],
  ["q_?proj", [0, 1, 2, 3]],
  ["q_{1}proj", [0, 1, 2, 3]],
  ["q_{,2}proj", [0, 1, 2, 3]],
  ["q_proj$", [0, 1, 2, 3]],
  ["1", [10]],
  ["", []],
  ["a)|(q", [8, 11]],
  ["[]a]+", [8]],
  ["[a-]]", [8]],
  ["\\w", [9, 10]],
  [".*\\.\\w{6}", [1, 2, 3, 6]],
  ["q_proj{", []],
  ["a.b{2}", []],
  ["a\\.b\\{2\\}", [11]],
  ["b{3", []],
  ["q_+?proj", [0, 1, 2, 3]],
  ["(q_proj)*", [0, 1, 2, 3]],
  ["((a|b)*|q)*_proj", [0, 1, 2, 3]],
];

function matched(key: string): number[] {
  const [entry] = compilePatterns(new Map([[key, 1]]), "rank_pattern");
  return names.flatMap((name, index) => (entry!.matches(name) ? [index] : []));
}

describe("patterns", () => {
  it.each(python)("%j matches what Python matches", (key, expected) => {
    expect(matched(key)).toEqual(expected);
  });

  it("takes the first entry that matches, in the order given", () => {
    const general = ["q_proj", 1] as const;
    const exact = ["layers.1.q_proj", 2] as const;
    const patterns = (...entries: (readonly [string, number])[]) =>
      compilePatterns(new Map(entries), "rank_pattern");
    expect(lookUp(patterns(general, exact), "model.layers.1.q_proj", 8)).toBe(1);
    expect(lookUp(patterns(exact, general), "model.layers.1.q_proj", 8)).toBe(2);
    expect(lookUp(patterns(exact, general), "model.layers.1.v_proj", 8)).toBe(8);
  });

  const refused = [
    "(",
    ")",
    "a**",
    "*",
    "a++",
    "[",
    "[b-a]",
    "a{2,1}",
    "\\Z",
    "(a)\\1",
    "(?i)a",
    "(?=a)",
    "(?P<x>a)",
  ];
  it.each([...refused, "a\\", "^*", "[\\d-a]", "\\p", "((a{99}){99}){99}", "(".repeat(99), "a".repeat(3000)])(
    "%j is refused",
    (key) => {
      expect(() => matched(key)).toThrow(/SOURCE_CONFIG/);
    },
  );

  it("needs no more time for keys that make backtracking explode", () => {
    const keys = ["(a+)+b", "(a|a)*b", "(.*)*x", "(a?){99}a{99}"];
    const path = "a".repeat(500);
    const start = performance.now();
    for (const key of keys) {
      const [entry] = compilePatterns(new Map([[key, 1]]), "rank_pattern");
      entry!.matches(path);
    }
    expect(performance.now() - start).toBeLessThan(2000);
  });
});
