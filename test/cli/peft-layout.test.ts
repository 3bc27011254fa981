/**
 * The directory with `adapter_config.json` and `adapter_model.lqa` (docs/peft-layout.md): written by encode and push, and read by
 * every command that reads an `.lqa` file.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { decodeFile, encodeFile, readLocation } from "../../src/node/index.ts";
import { lqa, lqaApart } from "../helpers/cli.ts";
import { type TestHub, useHub } from "../helpers/hub.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const source = writePeftDirectory(join(place, "source"));
const single = join(place, "single.lqa");
const layout = join(place, "layout");
const CONFIG = "adapter_config.json";
const FILE = "adapter_model.lqa";
await encodeFile(source, single, { bits: 4 });
await encodeFile(source, layout, { bits: 4, layout: "peft" });

describe("encode --layout peft", () => {
  it("writes the file of --layout file, and the configuration of the source", () => {
    expect(readdirSync(layout).sort()).toEqual([CONFIG, FILE]);
    expect(readFileSync(join(layout, FILE)).equals(readFileSync(single))).toBe(true);
    expect(readFileSync(join(layout, CONFIG)).equals(readFileSync(join(source, CONFIG)))).toBe(true);
    const again = join(place, "again");
    expect(lqa("encode", source, "-o", again, "--bits", "4", "--layout", "peft")).toMatchObject({
      code: 0,
      err: "",
    });
    expect(readFileSync(join(again, FILE)).equals(readFileSync(single))).toBe(true);
  });

  it("replaces only what it writes, and only if it may", () => {
    const old = join(place, "old");
    mkdirSync(old);
    writeFileSync(join(old, FILE), "old");
    const words = ["encode", source, "-o", old, "--bits", "4", "--layout", "peft"];
    expect(lqa(...words)).toMatchObject({ code: 2, err: expect.stringContaining("OUTPUT_EXISTS") });
    expect(readFileSync(join(old, FILE), "utf8")).toBe("old");
    expect(lqa(...words, "--force").code).toBe(0);
    expect(readFileSync(join(old, FILE)).equals(readFileSync(single))).toBe(true);
    writeFileSync(join(old, "notes.txt"), "mine");
    expect(lqa(...words, "--force")).toMatchObject({ code: 2, err: expect.stringContaining("notes.txt") });
    expect(readFileSync(join(old, "notes.txt"), "utf8")).toBe("mine");
  });

  it("leaves out fields that make a program run or open something", () => {
    const risky = writePeftDirectory(join(place, "risky"));
    const config = JSON.parse(readFileSync(join(risky, CONFIG), "utf8"));
    writeFileSync(join(risky, CONFIG), JSON.stringify({ ...config, megatron_core: "os" }));
    const to = join(place, "safe");
    expect(lqa("encode", risky, "-o", to, "--bits", "4", "--layout", "peft").code).toBe(0);
    expect(readFileSync(join(to, CONFIG), "utf8")).not.toContain("megatron_core");
  });

  it("needs the name of a directory, and a file without a parent", () => {
    for (const [words, message] of [
      [["--layout", "peft"], "--output, a directory"],
      [["--layout", "peft", "--out-dir", join(place, "many")], "--output, a directory"],
      [["--layout", "peft", "-o", join(place, "child"), "--parent", single], "without a parent"],
    ] as const) {
      const before = listing(place);
      expect(lqa("encode", source, ...words)).toMatchObject({
        code: 2,
        err: expect.stringContaining(message),
      });
      expect(listing(place)).toEqual(before);
    }
  });
});

describe("a directory of the layout", () => {
  it("is read by every command that reads an .lqa file", async () => {
    const facts = (words: readonly string[]) => lqa(...words, "--json").json<Record<string, unknown>>();
    expect(facts(["inspect", layout]).fileId).toBe(facts(["inspect", single]).fileId);
    expect(facts(["validate", layout])).toMatchObject({ valid: true });
    expect(facts(["diff", layout, single])).toEqual({
      ...facts(["diff", single, single]),
      a: expect.anything(),
    });
    const [one, other] = [join(place, "one"), join(place, "other")];
    await decodeFile(layout, one);
    await decodeFile(single, other);
    for (const name of readdirSync(other))
      expect(readFileSync(join(one, name)).equals(readFileSync(join(other, name)))).toBe(true);
    expect(Buffer.from(await readLocation(layout)).equals(readFileSync(single))).toBe(true);
  });

  it("is not encoded again", () => {
    expect(lqa("encode", layout, "-o", join(place, "twice.lqa"))).toMatchObject({
      code: 2,
      err: expect.stringContaining("encoded already"),
    });
  });

  it("is left out among the adapters of a directory or a pattern", () => {
    const [many, out] = [join(place, "many"), join(place, "many-out")];
    cpSync(source, join(many, "plain"), { recursive: true });
    cpSync(layout, join(many, "done"), { recursive: true });
    for (const input of [many, join(many, "*")]) {
      const run = lqa("encode", input, "--out-dir", out, "--json");
      expect([run.code, run.json<{ input: string }[]>().map((item) => item.input)]).toEqual([
        0,
        [join(many, "plain")],
      ]);
    }
  });

  it("that lacks the file, or has a damaged one, says so", () => {
    const bad = join(place, "bad");
    mkdirSync(bad);
    writeFileSync(join(bad, CONFIG), readFileSync(join(layout, CONFIG)));
    expect(lqa("inspect", bad)).toMatchObject({ code: 2, err: expect.stringContaining("a directory with") });
    writeFileSync(join(bad, FILE), readFileSync(single).subarray(0, 100));
    expect(lqa("inspect", bad)).toMatchObject({ code: 1, err: expect.stringContaining("TRUNCATED_FILE") });
    expect(lqa("validate", bad)).toMatchObject({ code: 1 });
    rmSync(join(bad, FILE));
    mkdirSync(join(bad, FILE));
    expect(lqa("inspect", bad).code).toBe(2);
  });
});

describe("push", () => {
  let hub: TestHub;
  beforeEach(async () => {
    hub = await useHub();
  });
  const push = (...words: string[]) => lqaApart(process.cwd(), "push", ...words);
  const pushed = (repo: string): string[] =>
    [...hub.files(repo).keys()].filter((name) => name !== ".gitattributes").sort();

  it("pushes a directory with its configuration, also into a folder", async () => {
    expect(await push(layout, "hf://me/new")).toMatchObject({ code: 0, err: "" });
    expect(pushed("me/new")).toEqual(["README.md", CONFIG, FILE]);
    expect(Buffer.from(hub.files("me/new").get(CONFIG)!).equals(readFileSync(join(layout, CONFIG)))).toBe(
      true,
    );
    expect(await push(layout, "hf://me/new/fr", "--no-card")).toMatchObject({ code: 0, err: "" });
    expect([...hub.files("me/new").keys()]).toEqual(expect.arrayContaining([`fr/${CONFIG}`, `fr/${FILE}`]));
    expect(Buffer.from(await readLocation("hf://me/new/fr")).equals(readFileSync(single))).toBe(true);
  });

  it("makes the configuration of a file, and prefers the layout's file to others", async () => {
    expect(await push(single, "hf://me/new", "--no-card")).toMatchObject({ code: 0 });
    expect(await push(single, "hf://me/new", "--layout", "peft", "--no-card")).toMatchObject({
      code: 0,
      err: "",
    });
    expect(pushed("me/new")).toEqual([CONFIG, FILE, "single.lqa"]);
    expect(Buffer.from(await readLocation("hf://me/new")).equals(readFileSync(single))).toBe(true);
  });

  it("replaces another configuration only with --force", async () => {
    hub.commit("me/old", { [CONFIG]: "{}" });
    expect(await push(layout, "hf://me/old", "--no-card")).toMatchObject({
      code: 2,
      err: expect.stringContaining("OUTPUT_EXISTS"),
    });
    expect(Buffer.from(hub.files("me/old").get(CONFIG)!).toString()).toBe("{}");
    expect((await push(layout, "hf://me/old", "--no-card", "--force")).code).toBe(0);
  });
});
