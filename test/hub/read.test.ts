/**
 * Adapters on the Hugging Face hub, read by every command and by the library: the right bytes of one commit, or one typed error; and
 * the token goes to the hub alone.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { open } from "../../src/core/index.ts";
import { encodeFile, openRemoteFile, readLocation, readSourceFiles } from "../../src/node/index.ts";
import { bands, fileBytes, packed, shape } from "../container/fixtures.ts";
import { lqaApart } from "../helpers/cli.ts";
import { serveHub, type TestHub, TOKEN } from "../helpers/hub.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { answerRange, serve } from "../helpers/server.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const peft = writePeftDirectory(join(place, "peft"));
const local = join(place, "local.lqa");
const config = readFileSync(join(peft, "adapter_config.json"));
const weights = readFileSync(join(peft, "adapter_model.safetensors"));
let lqa: Buffer;
let hub: TestHub;
let first: string;
/** Environment of a user: no token, an empty cache. */
let env: Record<string, string>;

beforeAll(async () => {
  await encodeFile(peft, local, { bits: 4 });
  lqa = readFileSync(local);
});

beforeEach(async () => {
  hub = await serveHub();
  first = hub.commit("me/adapter", { "adapter_config.json": config, "adapter_model.safetensors": weights });
  hub.commit("me/packed", { "my-adapter.lqa": lqa, "README.md": "# an adapter" });
  env = { HF_ENDPOINT: hub.endpoint, HF_HOME: temporaryDirectory(), HF_TOKEN: "", HF_HUB_OFFLINE: "" };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  for (const name of [
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_TOKEN_PATH",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
  ])
    vi.stubEnv(name, "");
});

const run = (...words: string[]) => lqaApart(temporaryDirectory(), ...words);

async function failure(location: string): Promise<{ kind: string; message: string; advice: string }> {
  return await readLocation(location).then(
    () => expect.fail("no error"),
    (error: { name: string; kind: string; message: string; advice: string }) => {
      expect(error.name).toBe("LqaError");
      expect(error.message + error.advice).not.toContain(TOKEN);
      return error;
    },
  );
}

const tokensSent = (): (string | undefined)[] => hub.hub.requests.map(({ headers }) => headers.authorization);

describe("an .lqa file on the hub", () => {
  test("is inspected by ranges of one commit", async () => {
    const { code, out, err } = await run("inspect", "hf://me/packed", "--json");
    expect(err).toBe("");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ verified: false });
    // One request for the commit and the files; the rest are ranges of that commit.
    const [list, ...files] = hub.hub.requests.map(({ url }) => url!);
    expect(list).toBe("/api/models/me/packed/revision/main?blobs=true");
    expect(files.length).toBeGreaterThan(0);
    for (const url of files) expect(url).toMatch(/^\/me\/packed\/resolve\/[0-9a-f]{40}\/my-adapter\.lqa$/);
    expect(hub.store.requests.every(({ headers }) => headers.range !== undefined)).toBe(true);
  });

  test("is validated, decoded and compared", async () => {
    const location = "hf://me/packed/my-adapter.lqa";
    expect(await run("validate", location)).toMatchObject({ code: 0, out: expect.stringMatching(/^valid/) });
    expect(await run("diff", "hf://me/packed", local, "--exit-code")).toMatchObject({ code: 0 });
    expect(await run("diff", "hf://me/adapter", "hf://me/packed", "--json")).toMatchObject({ code: 0 });
    const target = join(temporaryDirectory(), "out");
    expect(await run("decode", "hf://me/packed", "-o", target)).toMatchObject({ code: 0, err: "" });
    expect(listing(target)).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  });

  test("is read by the library", async () => {
    expect(Buffer.from(await readLocation("hf://me/packed")).equals(lqa)).toBe(true);
    const source = await openRemoteFile("hf://me/packed");
    const file = await open(source);
    expect(file.modules).toHaveLength(4);
    await source.close();
  });

  test("is read at a branch, a tag with a slash, a pull request and a commit", async () => {
    const old = hub.commit("me/many", { "x.lqa": lqa }, "v1");
    hub.commit("me/many", { "x.lqa": lqa, "y.lqa": lqa }, "release/2");
    hub.commit("me/many", { "sub/z.lqa": lqa }, "refs/pr/3");
    for (const at of ["@v1", "@release%2F2/x.lqa", "@refs/pr/3/sub/z.lqa", `@${old}`, "@refs/pr/3/sub"])
      expect(Buffer.from(await readLocation(`hf://me/many${at}`)).equals(lqa), at).toBe(true);
    expect(await failure("hf://me/many@release%2F2")).toMatchObject({
      kind: "NOT_FOUND",
      advice: "Give the path of one: hf://me/many@release%2F2/x.lqa.",
    });
  });
});

describe("an adapter on the hub", () => {
  test("is encoded to the same bytes as its copy", async () => {
    const target = join(temporaryDirectory(), "x.lqa");
    const ran = await run("encode", "hf://me/adapter", "-o", target, "--bits", "4", "--json");
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(readFileSync(target).equals(lqa)).toBe(true);
    const folder = temporaryDirectory();
    expect(await run("encode", "hf://me/adapter", "--out-dir", folder, "--bits", "4")).toMatchObject({
      code: 0,
    });
    expect(listing(folder)).toEqual(["adapter.lqa"]);
  });

  test("is found in a folder, by its file, and by its address", async () => {
    const files = { "sub/adapter_config.json": config, "sub/adapter_model.safetensors": weights };
    hub.commit("me/deep", files);
    const url = `${hub.endpoint}/me/deep/resolve/main/sub/adapter_model.safetensors`;
    for (const location of ["hf://me/deep/sub", "hf://me/deep/sub/adapter_model.safetensors", url]) {
      const read = await readSourceFiles(location);
      expect([...read.keys()].sort(), location).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
      expect(Buffer.from(read.get("adapter_model.safetensors")!).equals(weights)).toBe(true);
    }
    const target = join(temporaryDirectory(), "x.lqa");
    expect(await run("encode", url, "-o", target, "--bits", "4")).toMatchObject({ code: 0 });
    expect(readFileSync(target).equals(lqa)).toBe(true);
  });

  test("that is a repository without one is an error that says what is there", async () => {
    hub.commit("me/none", { "notes.txt": "nothing" });
    expect(await run("encode", "hf://me/none", "-o", "x.lqa")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/notes\.txt[\s\S]*NOT_FOUND/),
    });
  });
});

describe("the token", () => {
  test("is read from HF_TOKEN or the token file, and never sent to another host", async () => {
    hub.access("me/packed", "token");
    expect(await failure("hf://me/packed")).toMatchObject({
      kind: "NOT_FOUND",
      advice: expect.stringMatching(/HF_TOKEN/),
    });
    vi.stubEnv("HF_TOKEN", TOKEN);
    await readLocation("hf://me/packed");
    vi.stubEnv("HF_TOKEN", "");
    writeFileSync(join(env.HF_HOME!, "token"), `${TOKEN}\n`);
    await readLocation("hf://me/packed");
    expect(new Set(tokensSent().slice(1))).toEqual(new Set([`Bearer ${TOKEN}`]));
    expect(hub.store.requests.length).toBeGreaterThan(0);
    for (const { headers } of hub.store.requests) {
      expect(JSON.stringify(headers)).not.toContain(TOKEN);
      expect(headers.referer).toBeUndefined();
    }
    vi.stubEnv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
    expect(await failure("hf://me/packed")).toMatchObject({ kind: "NOT_FOUND" });
  });

  test("does not follow a redirect of the hub itself to another host", async () => {
    vi.stubEnv("HF_TOKEN", TOKEN);
    const other = await serve((_request, response) => response.writeHead(404).end());
    const bad = await serve((_request, response) => response.writeHead(307, { location: other.url }).end());
    vi.stubEnv("HF_ENDPOINT", new URL(bad.url).origin);
    await failure("hf://me/packed");
    expect(bad.requests[0]!.headers.authorization).toBe(`Bearer ${TOKEN}`);
    expect(other.requests[0]!.headers.authorization).toBeUndefined();
  });

  test("that no request can carry is refused without being shown", async () => {
    vi.stubEnv("HF_TOKEN", "hf_bad\ntoken");
    const error = await failure("hf://me/packed");
    expect(error.kind).toBe("USAGE");
    expect(error.message + error.advice).not.toContain("hf_bad");
  });
});

describe("what the hub refuses", () => {
  test("is named with what to do", async () => {
    expect(await failure("hf://me/nowhere")).toMatchObject({
      kind: "NOT_FOUND",
      advice: expect.stringMatching(/private/),
    });
    expect(await failure("hf://me/packed@v9")).toMatchObject({
      kind: "NOT_FOUND",
      expected: expect.stringMatching(/"v9"/),
    });
    expect(await failure("hf://me/packed/other.lqa")).toMatchObject({
      kind: "NOT_FOUND",
      actual: expect.stringMatching(/my-adapter/),
    });
    expect(await failure("hf://me/packed/my-adapter.lqa@main")).toMatchObject({
      advice: expect.stringContaining("hf://owner/name@revision/path"),
    });
    hub.access("me/packed", "gated");
    const gated = await failure("hf://me/packed");
    expect(gated).toMatchObject({ kind: "ACCESS_DENIED" });
    expect(gated.advice).toContain(`${hub.endpoint}/me/packed`);
    expect(await run("inspect", "hf://me/packed")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/gated/),
    });
  });

  test("or a location that is none", async () => {
    const bad = [
      "hf://",
      "hf://me",
      "hf://me/a/../b",
      "hf://datasets/me/x",
      "hf://me/a@",
      "hf://-x/y",
      "hf://me/a@%zz",
    ];
    for (const location of bad) expect(await failure(location), location).toMatchObject({ kind: "USAGE" });
    vi.stubEnv("HF_ENDPOINT", "ftp://hub");
    expect(await failure("hf://me/packed")).toMatchObject({
      kind: "USAGE",
      message: expect.stringMatching(/HF_ENDPOINT/),
    });
    expect(hub.hub.requests).toHaveLength(0);
  });

  test("or answers otherwise", async () => {
    const answers = ["<html>", "null", "{}", '{"sha":"main","siblings":[]}', `{"sha":"${"0".repeat(40)}"}`];
    for (const text of answers) {
      const { url } = await serve((_request, response) => response.end(text));
      vi.stubEnv("HF_ENDPOINT", new URL(url).origin);
      expect(await failure("hf://me/packed"), text).toMatchObject({
        kind: "HTTP_RESPONSE",
        advice: expect.stringMatching(/HF_ENDPOINT/),
      });
    }
    const sha = "0".repeat(40);
    const siblings = ["../../x.lqa", "/etc/x.lqa", "a\\b.lqa", 7, null].map((rfilename) => ({ rfilename }));
    const evil = await serve((_request, response) =>
      response.end(JSON.stringify({ sha, siblings: [null, ...siblings] })),
    );
    vi.stubEnv("HF_ENDPOINT", new URL(evil.url).origin);
    expect(await failure("hf://me/packed")).toMatchObject({ kind: "NOT_FOUND", actual: "no files" });
  });
});

describe("what changes or breaks on the way", () => {
  test("a push between two requests changes nothing: the commit is read", async () => {
    const source = await openRemoteFile("hf://me/packed");
    hub.commit("me/packed", { "my-adapter.lqa": Buffer.alloc(lqa.length) });
    expect(Buffer.from(await source.read(0, lqa.length)).equals(lqa)).toBe(true);
  });

  test("bytes that are not those of the list are refused", async () => {
    hub.damage = (bytes) => {
      const other = Buffer.from(bytes);
      other[other.length - 1]! ^= 1;
      return other;
    };
    await expect(readSourceFiles("hf://me/adapter")).rejects.toMatchObject({
      kind: "HTTP_RESPONSE",
      expected: expect.stringContaining("SHA-256"),
    });
    hub.damage = (bytes) => bytes.subarray(0, bytes.length - 1);
    await expect(readSourceFiles("hf://me/adapter")).rejects.toMatchObject({ kind: "HTTP_RESPONSE" });
    expect(await run("encode", "hf://me/adapter", "-o", join(place, "never.lqa"))).toMatchObject({ code: 2 });
    expect(listing(place)).not.toContain("never.lqa");
  });

  test.each([
    ["small", 64],
    ["large", 1024],
  ])(
    "another %s file of the same length is taken for what nobody can know, and not for more",
    async (name, width) => {
      const make = (seed: number): Promise<Uint8Array> =>
        fileBytes({
          modules: [packed(shape("q", { out: width, in: width, rank: 256 }), bands(128, 128), seed)],
          tensors: [],
          sections: [],
        });
      const [meant, other] = [await make(1), await make(2)];
      expect(other.length).toBe(meant.length);
      const whole = meant.length <= 65_536;
      expect(whole).toBe(name === "small");
      hub.commit("me/liar", { "a.lqa": meant });
      const honest = await open(await openRemoteFile("hf://me/liar"));
      expect(honest.vouchedBy).toBe(whole ? "digest" : "server");
      const { fileId } = await honest.storedIds();

      hub.damage = () => Buffer.from(other);
      // Readers of the whole file notice, and callers that know the id.
      await expect(readLocation("hf://me/liar")).rejects.toMatchObject({ kind: "HTTP_RESPONSE" });
      expect(await run("validate", "hf://me/liar")).toMatchObject({ code: 2 });
      const source = await openRemoteFile("hf://me/liar");
      await expect(open(source, { fileId })).rejects.toMatchObject({
        kind: whole ? "HTTP_RESPONSE" : "WRONG_FILE",
      });
      if (whole) return await expect(open(source)).rejects.toMatchObject({ kind: "HTTP_RESPONSE" });
      // A reader of ranges reads one file, and the result names who vouches for it.
      const lie = await open(source);
      expect(lie.vouchedBy).toBe("server");
      expect((await lie.storedIds()).fileId).not.toBe(fileId);
      expect(JSON.parse((await run("inspect", "hf://me/liar", "--json")).out)).toMatchObject({
        verified: false,
        vouchedBy: "server",
      });
      expect((await run("inspect", "hf://me/liar")).out).toMatch(/file id.*as this server says/);
    },
  );

  test("a download that breaks off is resumed", async () => {
    hub.damage = (bytes, number) => (number === 0 ? undefined : bytes);
    expect(Buffer.from(await readLocation("hf://me/packed")).equals(lqa)).toBe(true);
  });

  test("a hub that does not answer is given up after --timeout", async () => {
    const silent = await serve(() => {});
    vi.stubEnv("HF_ENDPOINT", new URL(silent.url).origin);
    for (const command of ["inspect", "validate", "decode"])
      expect(await run(command, "hf://me/packed", "--timeout", "1")).toMatchObject({
        code: 2,
        err: expect.stringMatching(/NETWORK/),
      });
  });

  test("one deadline holds for the list and the files", async () => {
    const file = await openRemoteFile("hf://me/packed", { deadlineMs: 1500 });
    await new Promise((resolve) => setTimeout(resolve, 1600));
    await expect(file.read(0, 64)).rejects.toMatchObject({
      kind: "NETWORK",
      expected: "an end within 1500 ms",
    });
  });

  test("an address that may not be read is said to be so", async () => {
    const { url } = await serve((_request, response) => response.writeHead(403).end());
    expect(await failure(url)).toMatchObject({ kind: "ACCESS_DENIED" });
  });
});

describe("the cache of the hub's clients", () => {
  function fill(repo: string, commit: string, files: Readonly<Record<string, Buffer>>): string {
    const folder = join(env.HF_HOME!, "hub", `models--${repo.replace("/", "--")}`);
    mkdirSync(join(folder, "refs"), { recursive: true });
    mkdirSync(join(folder, "snapshots", commit), { recursive: true });
    writeFileSync(join(folder, "refs", "main"), commit);
    for (const [name, bytes] of Object.entries(files))
      writeFileSync(join(folder, "snapshots", commit, name), bytes);
    return folder;
  }

  test("is read where it has the file, and never written", async () => {
    const folder = fill("me/adapter", first, { "adapter_model.safetensors": weights });
    expect((await readSourceFiles("hf://me/adapter")).size).toBe(2);
    expect(hub.store.requests).toHaveLength(0);
    expect(listing(join(folder, "snapshots", first))).toEqual(["adapter_model.safetensors"]);
  });

  test("with half a file is not believed", async () => {
    fill("me/adapter", first, { "adapter_model.safetensors": weights.subarray(0, 1000) });
    const files = await readSourceFiles("hf://me/adapter");
    expect(Buffer.from(files.get("adapter_model.safetensors")!).equals(weights)).toBe(true);
  });

  test("is all there is offline", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await failure("hf://me/packed")).toMatchObject({
      kind: "NOT_FOUND",
      advice: expect.stringMatching(/HF_HUB_OFFLINE/),
    });
    fill("me/packed", "1".repeat(40), { "my-adapter.lqa": lqa });
    expect(Buffer.from(await readLocation("hf://me/packed")).equals(lqa)).toBe(true);
    expect(await run("inspect", "hf://me/packed")).toMatchObject({ code: 0 });
    expect(hub.hub.requests).toHaveLength(0);
  });
});

test("a web server without ranges serves a whole file", async () => {
  const { url } = await serve((_request, response) => response.end(lqa));
  expect(Buffer.from(await readLocation(url)).equals(lqa)).toBe(true);
  const ranged = await serve((_request, response, asked) => answerRange(lqa, response, asked));
  expect(await run("decode", `${ranged.url}?signature=x`, "--to", "peft")).toMatchObject({ code: 0 });
});
