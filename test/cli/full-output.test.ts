/** Every command whose output cannot be written says so, ends with 2, and claims nothing. A closed pipe stays quiet. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { COMMANDS, lqa } from "../helpers/cli.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const place = temporaryDirectory();
/** Words with which a command prints something here. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  encode: ["adapter", "-o", "again.lqa"],
  decode: ["a.lqa", "-o", "decoded"],
  convert: ["adapter", "converted"],
  inspect: ["a.lqa"],
  validate: ["a.lqa"],
  diff: ["adapter", "a.lqa"],
  compare: ["adapter"],
  explain: ["USAGE"],
  completion: ["bash"],
  man: [],
  rebase: ["child.lqa", "--parent", "a.lqa", "-o", "alone.lqa"],
};
/** Needs a hub: test/hub/push.test.ts. */
const ELSEWHERE = /^push$/;

/** A run whose standard output is a full device, or a pipe that nobody reads. */
function full(words: readonly string[], to = ">/dev/full"): { code: number | null; err: string } {
  const script = `"$0" "$@" ${to}`;
  const { status, stderr } = spawnSync("bash", ["-c", script, process.execPath, MAIN, ...words], {
    cwd: place,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  return { code: status, err: stderr };
}

describe.skipIf(!existsSync("/dev/full"))("a full device as standard output", () => {
  beforeAll(() => {
    writePeftDirectory(join(place, "adapter"));
    const [parent, child] = [join(place, "a.lqa"), join(place, "child.lqa")];
    expect(lqa("encode", join(place, "adapter"), "-o", parent).code).toBe(0);
    expect(lqa("encode", join(place, "adapter"), "--parent", parent, "-o", child).code).toBe(0);
  });

  it("is tried with every command", () => {
    const known = COMMANDS.filter((name) => !ELSEWHERE.test(name));
    expect(known.filter((name) => !(name in WORDS))).toEqual([]);
  });

  const commands = COMMANDS.filter((name) => name in WORDS);
  it.each([
    ...commands.map((name) => [...name.split(" "), ...WORDS[name]!]),
    ["encode", "--help"],
    ["inspect", "a.lqa", "--json"],
    ["validate", "a.lqa", "--json"],
    ["inspect", "absent.lqa", "--json"],
    ["--help"],
    ["--version"],
  ])("lqa %s %s %s %s %s %s", (...words) => {
    const { code, err } = full(words.filter((word) => word !== undefined));
    expect(err).toMatch(/standard output: the disk is full.* IO\)/);
    expect(code).toBe(2);
  });

  it.each([
    ["encode", "adapter", "-o", "-"],
    ["convert", "adapter", "-", "--to", "onnx"],
    ["decode", "a.lqa", "--to", "onnx", "-o", "-"],
  ])("%s %s %s %s %s %s claims no file", (...words) => {
    const { code, err } = full(words);
    expect(err).toContain("the disk is full");
    expect(err).not.toMatch(/written|bytes|modules/);
    expect(code).toBe(2);
  });

  it("is not taken for a pipe that its reader closed", () => {
    const out = execFileSync("bash", ["-c", `"$0" "$@" 2>&1 | head -c 1`, process.execPath, MAIN, "man"], {
      encoding: "utf8",
    });
    expect(out).toHaveLength(1);
  });
});
