/**
 * The attacks of fuzz/attacks/list.mjs against the page that says what came of them: every limit has one, and each ends as
 * docs/attacks.md says, within its CPU time. Memory is measured by fuzz/attacks/run.mjs, which .ci/long runs; attacks that take
 * a gigabyte or seconds (`big`) are left to it, too.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { run } from "../src/cli/run.ts";
import { ERRORS, type ErrorName } from "../src/core/index.ts";
import * as limits from "../src/limits.ts";

interface Attack {
  readonly name: string;
  readonly tries: string;
  readonly group: string;
  readonly words: readonly string[];
  readonly limit?: keyof typeof limits;
  readonly big?: boolean;
  readonly code: number;
  /** Most CPU seconds above those of a small file. */
  readonly seconds: number;
  readonly first: ErrorName | "valid";
  make(folder: string): Promise<void>;
}

const LIMITS = new Map(Object.entries(limits));
const list = new URL("../fuzz/attacks/list.mjs", import.meta.url).href;
const { ATTACKS } = (await import(list)) as { ATTACKS: readonly Attack[] };
const pageProgram = new URL("../fuzz/attacks/page.mjs", import.meta.url).href;
const { ELSEWHERE } = (await import(pageProgram)) as { ELSEWHERE: readonly (readonly string[])[] };
const page = readFileSync(new URL("../docs/attacks.md", import.meta.url), "utf8");
const rows = page
  .split("\n")
  .filter((line) => /^\| (?!file|---)/.test(line))
  .map((line) => line.slice(2, -2).split(" | "))
  .filter(({ length }) => length === 9);

describe("the page of attacks", () => {
  it("has each attack of the list, in its order, with its command and its end", () => {
    const said = rows.map(([name, tries, command, , , , , code, error]) => [
      name,
      tries,
      command,
      code,
      error,
    ]);
    const listed = ATTACKS.map(({ name, tries, limit, words, code, first }) => [
      name,
      limit === undefined ? tries : `${tries} (\`${limit}\`)`,
      `\`${words.join(" ")}\``,
      String(code),
      first === "valid" ? "–" : `\`${first}\``,
    ]);
    expect(said).toEqual(listed);
  });

  it("says the exit code that the catalogue gives each error", () => {
    const codes: Readonly<Record<string, number>> = { U: 3, L: 4, X: 2 };
    for (const { first, code } of ATTACKS)
      expect(code, first).toBe(first === "valid" ? 0 : (codes[ERRORS[first].code[4]!] ?? 1));
  });

  it("has each of these commands", () => {
    const commands = new Set(ATTACKS.map(({ words }) => words[0]!));
    const all = ["validate", "inspect", "diff", "decode", "convert", "compare", "encode"];
    expect([...commands].sort()).toEqual(all.sort());
    expect(ATTACKS.some(({ words }) => words.includes("--html"))).toBe(true);
  });
});

describe("the attacks that other tests make", () => {
  it("are on the page, each with a test that is there", () => {
    for (const [attack, limit, test] of ELSEWHERE) {
      expect(page).toContain(`| ${attack} | ${limit} | \`${test}\` |`);
      expect(existsSync(new URL(`../${test}`, import.meta.url)), test).toBe(true);
    }
  });
});

describe("the limits", () => {
  it("have an attack each", () => {
    const attacked = ATTACKS.flatMap(({ limit }) => limit ?? []);
    expect(attacked.toSorted()).toEqual([...LIMITS.keys()].toSorted());
  });
});

describe("an attack", () => {
  /** Runs the program in the folder; resolves to its code, and what it says first is wrong. */
  async function outcome(words: readonly string[], folder: string) {
    const before = process.cwd();
    process.chdir(folder);
    let text = "";
    const out = vi.spyOn(process.stdout, "write").mockImplementation((piece) => {
      text += piece;
      return true;
    });
    try {
      const code = await run([...words, "--json"]);
      const { files, error } = JSON.parse(text);
      return { code, first: error ?? files?.[0].findings?.[0] };
    } finally {
      out.mockRestore();
      process.chdir(before);
    }
  }

  it.each(
    ATTACKS.filter(({ big }) => big !== true).map((one) => [`${one.words[0]} ${one.name}`, one] as const),
  )("%s", { timeout: 120_000 }, async (_, attack) => {
    const folder = mkdtempSync(join(tmpdir(), "lqa-test-"));
    try {
      await attack.make(folder);
      const begin = process.cpuUsage();
      const { code, first } = await outcome(attack.words, folder);
      const { user, system } = process.cpuUsage(begin);
      expect((user + system) / 1e6).toBeLessThan(2 * attack.seconds);
      expect([code, first?.kind ?? "valid"]).toEqual([attack.code, attack.first]);
      // It is that limit which stopped it, where it has no error of its own.
      if (attack.limit !== undefined && /_LIMIT$/.test(attack.first))
        expect(first.message).toContain(
          `at most ${LIMITS.get(attack.limit)![attack.first === "HARD_LIMIT" ? "hard" : "core"]}`,
        );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
