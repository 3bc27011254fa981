/**
 * rank_pattern and alpha_pattern: Python's meaning, the first match in file order, and no time to be stolen. Patterns made by the grammar
 * of fuzz/grammar.mjs are compared with Python's `re.match` of `(.*\.)?(key)$`, as PEFT calls it, where there is a Python 3.
 */

import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { configurationMeter } from "../../src/adapters/json.ts";
import { compilePatterns, lookUp, type PatternTable } from "../../src/adapters/peft/pattern.ts";
import { isLqaError } from "../../src/core/index.ts";
import { sample, thorough } from "../helpers/thorough.ts";

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
const answers: [string, number[]][] = [
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

function table(...entries: (readonly [string, number])[]): PatternTable {
  return compilePatterns(new Map(entries), "rank_pattern", configurationMeter("test"));
}

function matched(key: string): number[] {
  const patterns = table([key, 1]);
  return names.flatMap((name, index) => (lookUp(patterns, name, 0) === 1 ? [index] : []));
}

describe("patterns", () => {
  it.each(answers)("%j matches what Python matches", (key, expected) => {
    expect(matched(key)).toEqual(expected);
  });

  it("takes the first entry that matches, in the order given", () => {
    const general = ["q_proj", 1] as const;
    const exact = ["layers.1.q_proj", 2] as const;
    expect(lookUp(table(general, exact), "model.layers.1.q_proj", 8)).toBe(1);
    expect(lookUp(table(exact, general), "model.layers.1.q_proj", 8)).toBe(2);
    expect(lookUp(table(exact, general), "model.layers.1.v_proj", 8)).toBe(8);
    const expression = [".*(q|k)_proj", 3] as const;
    expect(lookUp(table(expression, exact), "model.layers.1.q_proj", 8)).toBe(3);
    expect(lookUp(table(exact, expression), "model.layers.1.q_proj", 8)).toBe(2);
    expect(lookUp(table(exact, expression), "model.layers.1.k_proj", 8)).toBe(3);
    // Spellings of one key, dots that mean any character, and characters of two UTF-16 units.
    expect(lookUp(table(["q\\_proj", 1], ["q_proj", 2]), "a.q_proj", 8)).toBe(1);
    expect(lookUp(table(["q.proj", 1], ["q_proj", 2]), "a.q\u{1f600}proj", 8)).toBe(1);
    expect(lookUp(table(["^a.q_proj", 1], ["q_proj$", 2]), "b.q_proj", 8)).toBe(2);
  });

  const refused = [
    "(",
    ")",
    "a**",
    "{,3}a",
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
  it.each([...refused, "a\\", "^*", "[\\d-a]", "\\p", "(".repeat(99), "a".repeat(3000)])(
    "%j is refused",
    (key) => {
      expect(() => matched(key)).toThrow(/SOURCE_CONFIG/);
    },
  );

  it("that repeat nothing are nothing, however often", () => {
    expect(matched("(((){20000}){20000}){20000}q_proj")).toEqual([0, 1, 2, 3]);
    expect(matched("(){99999999999999999999}q_proj")).toEqual([0, 1, 2, 3]);
  });

  it("find sets of any length", () => {
    const letters = Array.from({ length: 1900 }, (_, i) => String.fromCodePoint(0x4e00 + 2 * i)).join("");
    expect(matched(`[${letters}q]_proj`)).toEqual([0, 1, 2, 3]);
    expect(matched("[\\d\\Dx]_proj")).toEqual([0, 1, 2, 3, 4, 6]);
    expect(matched("[^\\W]_proj")).toEqual([0, 1, 2, 3, 4, 6]);
  });
});

describe("the work of patterns is bounded", () => {
  const path = `${"model.".repeat(80)}q_proj`;
  const most = 1e6;

  /** CPU microseconds of looking up in tables until the budget ends, and the error. */
  function worked(keys: readonly string[], paths = 100_000): { error: unknown; cpu: number } {
    const begin = process.cpuUsage();
    let error: unknown;
    try {
      const patterns = table(...keys.map((key, i) => [key, i] as const));
      for (let i = 0; i < paths; i++) lookUp(patterns, path, -1);
    } catch (thrown) {
      error = thrown;
    }
    const { user, system } = process.cpuUsage(begin);
    return { error, cpu: user + system };
  }

  const variants = (key: (number: number) => string): string[] =>
    Array.from({ length: 4000 }, (_, i) => key(i));
  const costly: readonly [what: string, keys: readonly string[]][] = [
    ["repetitions that multiply", ["((a{99}){99}){99}"]],
    ["optional parts of thousands of keys", variants((i) => `(a?){6000}z${i}`)],
    ["infinitely many", ["(((a{1000}){1000}){1000}){1000}".repeat(20), "a{99999999999999999999}"]],
    ["keys that make backtracking explode", ["(a+)+b", "(a|a)*b", "(.*)*x", "(a?){99}a{99}"]],
    ["dots", variants((i) => `${".".repeat(400)}${i}`)],
    ["long classes", variants((i) => `[${"aceg".repeat(30)}]*x${i}`)],
    ["tables of Unicode", ["[\\W\\d]*[\\w\\D]*[\\w\\D]*[\\w\\D]*x"]],
  ];
  it.each(sample(costly, 3))("%s", (_, keys) => {
    const { error, cpu } = worked(keys);
    expect(error).toMatchObject({ kind: "BUDGET", exitCode: 4, where: "test" });
    expect(cpu).toBeLessThan(4 * most);
  });

  it("but a key for each of 20,000 modules is little", () => {
    const modules = Array.from({ length: 20_000 }, (_, i) => `model.layers.${i % 48}.experts.${i}.down_proj`);
    const patterns = table(...modules.map((name, i) => [name, i] as const));
    for (const [i, name] of modules.entries()) expect(lookUp(patterns, `base.${name}`, -1)).toBe(i);
  });

  it("but 20 expressions for 1,000 modules are little", () => {
    const keys = Array.from({ length: 20 }, (_, i) => `layers\\.(${i}|${i + 20})\\..*\\.(q|k)_proj`);
    const patterns = table(...keys.map((key, i) => [key, i] as const));
    for (let i = 0; i < 1000; i++)
      expect(lookUp(patterns, `model.layers.${i % 20}.self_attn.${i}.k_proj`, -1)).toBe(i % 20);
  });
});

type Random = (below: number) => number;
const at = (name: string): string => new URL(`../../fuzz/${name}`, import.meta.url).href;
const grammar = (await import(at("grammar.mjs"))) as Record<"pattern" | "path", (random: Random) => string>;
const { generator } = (await import(at("mutate.mjs"))) as { generator: (seed: number) => Random };

/** Compiles in a second or not at all: large counts make Python slow. */
const PROGRAM = `
import json, re, sys, warnings
warnings.simplefilter("ignore")
answers = []
for key, paths in json.load(sys.stdin):
    try:
        answers.append([re.match(rf"(.*\\.)?({key})$", path) is not None for path in paths])
    except (re.error, OverflowError, RecursionError):
        answers.append(None)
json.dump(answers, sys.stdout)
`;
const python = process.env.LQA_PYTHON ?? "python3";
const available = spawnSync(python, ["-c", "import re"]).status === 0;

describe.skipIf(!available)("patterns of the grammar", () => {
  it("match what Python's re matches", { timeout: 120_000 }, () => {
    const random = generator(20);
    const count = thorough ? 4000 : 1000;
    const cases: [string, string[]][] = [];
    while (cases.length < count) {
      const key = grammar.pattern(random);
      // Python backtracks, and its groups of large counts take minutes to compile.
      const repeats = key.match(/[*+?{]/g)?.length ?? 0;
      if (key.length > 60 || repeats > 5 || /\d{3}/.test(key)) continue;
      cases.push([key, Array.from({ length: 8 }, () => grammar.path(random).slice(0, 24))]);
    }
    const { stdout, status } = spawnSync(python, ["-c", PROGRAM], {
      input: JSON.stringify(cases),
      encoding: "utf8",
      maxBuffer: 2 ** 26,
    });
    expect(status).toBe(0);
    const answers = JSON.parse(stdout) as (boolean[] | null)[];
    const wrong: unknown[] = [];
    let compared = 0;
    let matches = 0;
    for (const [i, [key, paths]] of cases.entries()) {
      try {
        const table = compilePatterns(new Map([[key, 1]]), "rank_pattern", configurationMeter("test"));
        const found = paths.map((path) => lookUp(table, path, 0) === 1);
        compared++;
        matches += found.filter(Boolean).length;
        if (`${found}` !== `${answers[i]}`) wrong.push({ key, paths, found, python: answers[i] });
      } catch (error) {
        if (!isLqaError(error)) throw error;
      }
    }
    expect(wrong).toEqual([]);
    // The grammar is no use if nothing is accepted, or nothing matches.
    expect(compared).toBeGreaterThan(0.6 * count);
    expect(matches).toBeGreaterThan(0.12 * count);
  });
});
