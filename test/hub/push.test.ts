/**
 * `lqa push`: one commit with the file and its card, nothing replaced unasked, and a token that goes to the hub alone.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { readAdapter } from "../../src/adapters/index.ts";
import { open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { encodeFile, openPush, readLocation, readSourceFiles } from "../../src/node/index.ts";
import { lqaApart } from "../helpers/cli.ts";
import { type TestHub, TOKEN, useHub } from "../helpers/hub.ts";
import { writePacked } from "../helpers/packed.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { type Handler, serve } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const { peft, path, other, bytes } = await writePacked(place);
let hub: TestHub;

beforeEach(async () => {
  hub = await useHub();
});

const run = (...words: string[]) => lqaApart(process.cwd(), ...words);

const card = (repo: string): string => Buffer.from(hub.files(repo).get("README.md")!).toString();
const posts = (): string[] =>
  hub.hub.requests.filter(({ method }) => method === "POST").map(({ url }) => url!);

describe("a push", () => {
  test("creates a repository with the file and a card, and comes back the same", async () => {
    const ran = await run("push", path, "hf://me/new", "--source", peft, "--private", "--json");
    expect(ran.err).toBe("");
    expect(JSON.parse(ran.out)).toMatchObject({
      location: "hf://me/new/my-adapter.lqa",
      creates: true,
      cardKept: null,
      commit: expect.stringMatching(/^[0-9a-f]{40}$/),
    });
    expect(Buffer.from(hub.files("me/new").get("my-adapter.lqa")!).equals(bytes)).toBe(true);
    expect(Buffer.from(await readLocation("hf://me/new")).equals(bytes)).toBe(true);
    // Large files go to another host, which does not get the token.
    expect(hub.store.requests.some(({ method }) => method === "PUT")).toBe(true);
    for (const { headers } of hub.store.requests) expect(JSON.stringify(headers)).not.toContain(TOKEN);
    expect(hub.hub.requests.every(({ headers }) => headers.authorization === `Bearer ${TOKEN}`)).toBe(true);
  });

  test("gives a name without the ending .lqa that ending", async () => {
    const plain = join(place, "plain");
    writeFileSync(plain, bytes);
    const ran = await run("push", plain, "hf://me/new", "--json");
    expect(JSON.parse(ran.out)).toMatchObject({ location: "hf://me/new/plain.lqa" });
    expect(Buffer.from(await readLocation("hf://me/new")).equals(bytes)).toBe(true);
  });

  test("writes a card with metadata, the error, and a program that works", async () => {
    expect(await run("push", path, "hf://me/new", "--source", peft)).toMatchObject({ code: 0, err: "" });
    const [, metadata] = /^---\n([\s\S]*?)---\n/.exec(card("me/new"))!;
    expect(parse(metadata!)).toEqual({
      base_model: "example/tiny",
      base_model_relation: "adapter",
      library_name: "lqa",
      tags: ["lqa", "lora", "quantized", "peft"],
    });
    expect(card("me/new")).toMatch(/\| energy of ΔW lost \| [\d.]+ % \|/);
    expect(card("me/new")).toContain('from_pretrained("example/tiny")');
    expect(card("me/new")).toContain('lqa.peft.load(base, "hf://me/new/my-adapter.lqa")');
    const [, program] = /```ts\n([\s\S]*?)```/.exec(card("me/new"))!;
    const core = new URL("../../dist/core/index.js", import.meta.url).href;
    const script = join(place, "card.mjs");
    writeFileSync(script, program!.replace('"lqa"', JSON.stringify(core)));
    const child = spawn(process.execPath, [script]);
    let out = "";
    child.stdout.on("data", (text) => (out += text));
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(0);
    expect(out).toMatch(/^model\.layers\.0\.self_attn\.q_proj 2 \[ 64, 4 \] \[ 4, 64 \]/m);
  });

  test("takes the card that lqa card wrote of this file, and no other", async () => {
    const { fileId } = JSON.parse((await run("inspect", path, "--json")).out);
    const measured = join(place, "README.md");
    writeFileSync(measured, `# Measured\n\n| file id | \`${fileId}\` |\n`);
    expect(await run("push", path, "hf://me/new", "--card", measured)).toMatchObject({ code: 0, err: "" });
    expect(card("me/new")).toMatch(/^# Measured\n/);
    expect(await run("push", other, "hf://me/other", "--card", measured)).toMatchObject({
      code: 2,
      err: expect.stringContaining("a card of another file"),
    });
    expect(posts().filter((url) => url.includes("me/other"))).toEqual([]);
  });

  test("of what is there already does nothing", async () => {
    await run("push", path, "hf://me/new");
    const before = posts().length;
    expect(await run("push", path, "hf://me/new")).toMatchObject({
      code: 0,
      out: expect.stringContaining("nothing to push"),
    });
    expect(posts()).toHaveLength(before);
  });

  test("that is dry uploads nothing and shows everything", async () => {
    const { code, out } = await run("push", path, "hf://me/new", "--dry-run");
    expect(code).toBe(0);
    expect(out).toMatch(/would get a new repository with 2 files/);
    expect(out).toContain("library_name: lqa\n");
    expect(posts()).toEqual([]);
  });

  test("goes to a branch and a path", async () => {
    hub.commit("me/many", { "x.txt": "x" }, "dev");
    expect(await run("push", path, "hf://me/many@dev/fr/v2.lqa", "--no-card")).toMatchObject({
      code: 0,
      err: "",
    });
    expect([...hub.files("me/many", "dev").keys()]).toContain("fr/v2.lqa");
    expect([...hub.files("me/many").keys()]).not.toContain("fr/v2.lqa");
  });
});

describe("nothing is replaced unasked", () => {
  test("another file of the name", async () => {
    await run("push", path, "hf://me/new");
    const target = "hf://me/new/my-adapter.lqa";
    expect(await run("push", other, target)).toMatchObject({
      code: 2,
      err: expect.stringContaining("OUTPUT_EXISTS"),
    });
    expect(Buffer.from(hub.files("me/new").get("my-adapter.lqa")!).equals(bytes)).toBe(true);
    expect(await run("push", other, target, "--force")).toMatchObject({ code: 0, err: "" });
    // The card is lqa's own: it follows the file.
    expect(card("me/new")).toContain(JSON.parse((await run("inspect", other, "--json")).out).fileId);
  });

  test("a README.md of a person, or a card that a person changed", async () => {
    hub.commit("me/mine", { "README.md": "# mine" });
    const ran = await run("push", path, "hf://me/mine");
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining("--replace-card") });
    expect(card("me/mine")).toBe("# mine");
    expect(hub.files("me/mine").has("my-adapter.lqa")).toBe(true);
    expect(await run("push", path, "hf://me/mine", "--replace-card")).toMatchObject({ code: 0 });
    expect(card("me/mine")).toContain("library_name: lqa");
    const changed = card("me/mine").replace("A LoRA adapter", "My best LoRA adapter");
    hub.commit("me/mine", { "README.md": changed });
    expect(await run("push", path, "hf://me/mine")).toMatchObject({ code: 0 });
    expect(card("me/mine")).toBe(changed);
  });

  test("a commit that somebody made meanwhile", async () => {
    hub.commit("me/race", { "x.txt": "x" });
    const plan = await openPush(path, "hf://me/race", bytes, "# card");
    hub.commit("me/race", { "y.txt": "y" });
    await expect(plan.push()).rejects.toMatchObject({ kind: "REMOTE_CHANGED" });
    expect([...hub.files("me/race").keys()]).not.toContain("my-adapter.lqa");
  });
});

describe("a push that cannot be", () => {
  test("has no token, or one that may not write", async () => {
    hub.commit("me/there", { "x.txt": "x" });
    for (const [token, text] of [
      ["", "HF_TOKEN"],
      ["hf_other", "settings/tokens"],
    ] as const) {
      vi.stubEnv("HF_TOKEN", token);
      const { code, err } = await run("push", path, "hf://me/there");
      expect(code).toBe(2);
      expect(err).toMatch(/ACCESS_DENIED/);
      expect(err).toContain(text);
      expect(err).not.toContain("hf_other");
    }
  });

  test("is of a file that is not valid, or to a place that is none", async () => {
    const bad = join(place, "bad.lqa");
    writeFileSync(bad, bytes.subarray(0, 100));
    expect((await run("push", bad, "hf://me/new")).code).toBe(1);
    const commit = `hf://me/new@${"0".repeat(40)}`;
    for (const location of ["me/new", "https://hub/me/new", commit, "hf://me/new/x.bin"])
      expect((await run("push", path, location)).code, location).toBe(2);
    expect((await run("push", path)).code).toBe(2);
    expect(hub.hub.requests).toEqual([]);
  });

  test("meets a hub that sends it elsewhere, or answers without end", async () => {
    const elsewhere = await serve((_request, response) => response.end("{}"));
    const sha = "0".repeat(40);
    const answers: Handler[] = [
      (_request, response) => response.writeHead(307, { location: elsewhere.url }).end(),
      (_request, response) => void response.end(`{"files":[${'"x",'.repeat(5_000_000)}`),
      (_request, response) => void response.writeHead(500).end("down"),
      (_request, response) => void response.end("no JSON"),
    ];
    for (const answer of answers) {
      const evil = await serve((request, response, asked) =>
        request.method === "GET"
          ? response.end(JSON.stringify({ sha, siblings: [] }))
          : answer(request, response, asked),
      );
      vi.stubEnv("HF_ENDPOINT", new URL(evil.url).origin);
      const plan = await openPush(path, "hf://me/new", bytes, undefined);
      const error = await plan.push().catch((e: unknown) => e);
      expect(error).toMatchObject({
        name: "LqaError",
        kind: expect.stringMatching(/^(HTTP_RESPONSE|NETWORK)$/),
      });
    }
    expect(elsewhere.requests).toHaveLength(0);
  });
});

test("a card has nothing of a dialect that a file makes up", async () => {
  const adapter = readAdapter(await readSourceFiles(peft));
  const origin = { ...adapter.origin, dialect: "peft\nlicense: evil" };
  const { bytes: made } = await encodeAdapter({ ...adapter, origin });
  const file = join(place, "made.lqa");
  writeFileSync(file, made);
  expect((await (await open(made)).origin())!.dialect).toContain("evil");
  const { code, out } = await run("push", file, "hf://me/new", "--dry-run");
  expect([code, out.includes("- quantized\n---"), out.includes("evil")]).toEqual([0, true, false]);
});

test.skipIf(!existsSync("/dev/full"))(
  "what a full device did not take is said, push or dry run",
  async () => {
    const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
    for (const more of ["--dry-run", "--json"]) {
      const words = [process.execPath, main, "push", path, "hf://me/new", more];
      const child = spawn("bash", ["-c", '"$0" "$@" >/dev/full', ...words], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      const [said, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
      expect(said).toMatch(/standard output: the disk is full.* IO\)/);
      expect([code, said.includes("uploaded")]).toEqual([2, false]);
    }
  },
);

test("a card quotes the name of a file for each language", async () => {
  const name = `a"); import os # '$(touch x)\`y\`; <img src=x> [b](javascript:c) *d*.lqa`;
  const file = join(place, name);
  writeFileSync(file, bytes);
  const { code, out } = await run("push", file, "hf://me/new", "--dry-run");
  expect(code).toBe(0);
  const location = `hf://me/new/${name}`;
  // As a program reads it: one string, one word, one line of text without markup.
  const inPython = /lqa\.peft\.load\(base, (.*)\)$/m.exec(out)![1]!;
  expect(JSON.parse(inPython)).toBe(location);
  expect(
    execFileSync("python3", ["-c", `import sys; sys.stdout.write(${inPython})`], { encoding: "utf8" }),
  ).toBe(location);
  expect(new URL(JSON.parse(/new URL\((.*)\)\);$/m.exec(out)![1]!)).protocol).toBe("http:");
  const inShell = /^lqa decode .* -o adapter\/$/m.exec(out)![0];
  const words = execFileSync("bash", ["-c", `lqa() { printf '%s\\0' "$@"; }; ${inShell}`], {
    cwd: temporaryDirectory(),
    encoding: "utf8",
  });
  expect(words.split("\0")).toEqual(["decode", location, "-o", "adapter/", ""]);
  expect(/^# (.*)$/m.exec(out)![1]).not.toMatch(/(?<!\\)[`*<>[\]()$]/);
});

test("a card has nothing of a base model that is no name on the hub", async () => {
  const folder = writePeftDirectory(join(place, "local"), {
    config: { base_model_name_or_path: "/home/me/secret\n- evil" },
  });
  const file = join(place, "local.lqa");
  await encodeFile(folder, file, { bits: 4 });
  const { out } = await run("push", file, "hf://me/new", "--dry-run", "--title", "a\n---\nb");
  expect(out).not.toContain("secret");
  expect(out).toContain("# a --- b\n");
});
