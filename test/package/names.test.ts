/**
 * No text of ours installs `lqa` from a registry by its name: on PyPI that name belongs to somebody else (ours is
 * `lqa-format`), and until the first release no registry has either package. Looks at every text in the tree, from which the
 * npm package is built; integrations/python/tests/test_names.py looks at the built Python package.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../helpers/documents.ts";

/** An installer, its verb, and in the same command one of our names that is no path. */
const BY_NAME =
  /\b(?:(?:pip3?|pipx|conda|pdm|poetry|uv|npm|pnpm|yarn|bun|deno)(?: pip| tool| global)? (?:install|add|inject|download|i)|uvx|bunx)\b[^`#;|&\n]*?[\s"'=:]lqa(?:-format)?(?:[\s"'`\\[=@<>~,;)]|\.?$)/;

const advice = (text: string): string[] => text.split("\n").filter((line) => BY_NAME.test(line));

describe("advice to install", () => {
  it("is recognized", () => {
    const named = [
      "pip install lqa",
      'pip install "lqa[hub]"',
      "`pip install lqa-format`.",
      "npm i -g lqa@0.1.0",
      "uvx lqa encode",
    ];
    expect(named.flatMap(advice)).toEqual(named);
    const others = [
      "pip install ./integrations/python",
      'pip install "./integrations/python[encode]"',
      "npm install --global ./lqa-0.1.0.tgz",
      "pip uninstall lqa lqa-format",
      "`npm install` gives no `lqa`",
    ];
    expect(others.flatMap(advice)).toEqual([]);
  });

  it("stands nowhere by a name of a registry", () => {
    const { stdout } = spawnSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" });
    const files = stdout.split("\0").filter((name) => name !== "" && name !== "test/package/names.test.ts");
    expect(files.length).toBeGreaterThan(500);
    const found = files.flatMap((name) => {
      const path = join(root, name);
      if (!existsSync(path) || !statSync(path).isFile() || statSync(path).size > 1 << 21) return [];
      const text = readFileSync(path, "latin1");
      return text.includes("\0") ? [] : advice(text).map((line) => `${name}: ${line.slice(0, 200)}`);
    });
    expect(found).toEqual([]);
  });
});
