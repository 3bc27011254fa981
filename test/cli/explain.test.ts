/** `lqa explain`: it explains every code and prints every clause. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lqa, lqaIn } from "../helpers/cli.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const source = (name: string): string => readFileSync(new URL(`../../spec/${name}`, import.meta.url), "utf8");
const { errors } = JSON.parse(source("errors.json")) as {
  errors: { code: string; name: string; clause: string; cause: string }[];
};
const clauses = [...source("lqa-v1.md").matchAll(/^#+ (\d+(?:\.\d+)*) (.*)$/gm)].map(
  ([, number, title]) => [number!, title!] as const,
);

/** What `lqa explain WORD --json` prints. */
function explained<T>(word: string): T {
  const run = lqa("explain", word, "--json");
  expect(run.code).toBe(0);
  return run.json<T>();
}

describe("lqa explain", () => {
  it("knows every code, by code and by name", () => {
    for (const { code, name, clause, cause } of errors) {
      const told = explained<{ kind: string; cause: string; clause: { number: string } | null }>(
        `lqa-${code}`,
      );
      expect(told).toMatchObject({ kind: name, cause });
      expect(told.clause?.number ?? "-").toBe(clause);
      expect(explained(name.toLowerCase())).toEqual(told);
    }
  });

  it("knows every clause, with its text and that of its subclauses", () => {
    expect(clauses.length).toBeGreaterThan(60);
    for (const [number, title] of clauses) {
      const told = explained<{ title: string; text: string }>(number);
      expect(told.title).toBe(title);
      expect(told.text.length).toBeGreaterThan(10);
    }
    const { text } = explained<{ text: string }>("3");
    for (const [number, title] of clauses.filter(([number]) => number.startsWith("3.")))
      expect(text).toContain(`### ${number} ${title}`);
    expect(text).not.toContain("## 4 ");
  });

  it("fits every clause and code into a terminal of 80 columns", () => {
    for (const word of [...clauses.map(([number]) => number), ...errors.map(({ code }) => code)]) {
      const told = lqaIn({ env: { COLUMNS: "80" } }, "explain", word).out;
      // What the specification has between ``` stays as it is.
      const code = new Set(source("lqa-v1.md").split("\n"));
      const wide = told.split("\n").filter((line) => line.length > 80 && !code.has(line.trim()));
      expect(wide).toEqual([]);
    }
  });

  it("is for people without --json, and is named by errors about files", () => {
    expect(lqa("explain", "LQA-M012").out).toMatch(
      /^LQA-M012 PADDING_NONZERO\n {2}meaning {7}A padding[\s\S]*\n\nClause 3\.6, Padding\n {2}Padding bytes/,
    );
    const path = join(temporaryDirectory(), "zeros.lqa");
    writeFileSync(path, new Uint8Array(64));
    expect(lqa("inspect", path).err).toMatch(/\n {2}more {8}lqa explain LQA-M001\n/);
    expect(lqa("inspect", "absent.lqa").err).not.toContain("explain");
  });

  it("says what it takes, and what was meant", () => {
    const { code, err } = lqa("explain", "PADDING_NONZER");
    expect(code).toBe(2);
    expect(err).toContain("Did you mean PADDING_NONZERO?");
    expect(lqa("explain", "99.9").err).toContain("number of a clause");
  });
});
