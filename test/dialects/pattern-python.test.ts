/**
 * Patterns made by the grammar of fuzz/grammar.mjs, against what they are written for: Python's `re.match` of
 * `(.*\.)?(key)$`, as PEFT calls it. Skipped where there is no Python 3.
 */

import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { isLqaError } from "../../src/core/index.ts";
import { compilePatterns, configurationMeter, lookUp } from "../helpers/parts.ts";

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
    const cases: [string, string[]][] = [];
    while (cases.length < 4000) {
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
    expect(compared).toBeGreaterThan(2500);
    expect(matches).toBeGreaterThan(500);
  });
});
