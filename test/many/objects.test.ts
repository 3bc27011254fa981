/** What object storage must do for many adapters, shown on a real S3 server; and which locations and which objects are taken. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findAdapters } from "../../src/node/objects/find-adapters.ts";
import { openObjects } from "../../src/node/objects/open-store.ts";
import { findS3, startS3 } from "../helpers/servers.ts";

const program = findS3();
if (program === undefined)
  console.log("skipped: objects in S3: there is no versitygw; set LQA_S3 to its path");

const LOCATION = "s3://target/some/prefix";

describe.skipIf(program === undefined)("object storage", { timeout: 120_000 }, async () => {
  if (program === undefined) return;
  const server = await startS3(program);
  Object.assign(process.env, server.env);
  const make = (key: string, text = ""): void => {
    const path = join(server.folder("target"), "some/prefix", key);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
  };
  const bytes = new TextEncoder().encode("0123456789");

  it("stores whole objects, replaces none unasked, and reads the version that was listed", async () => {
    const store = await openObjects(LOCATION);
    expect(await store.head("a/b")).toBeUndefined();
    expect(await store.read("a/b", { offset: 0, length: 4 })).toBeUndefined();
    expect(await store.put("a/b", bytes, { replace: false })).toBe("written");
    expect(await store.put("a/b", new Uint8Array(3), { replace: false })).toBe("exists");
    const { size, version } = (await store.head("a/b"))!;
    expect(size).toBe(10);
    const text = async (offset: number, length: number, pinned?: string) =>
      new TextDecoder().decode(await store.read("a/b", { offset, length, version: pinned }));
    expect(await text(0, 10)).toBe("0123456789");
    expect(await text(3, 4, version)).toBe("3456");
    expect(await text(8, 100)).toBe("89");
    expect(await text(10, 5)).toBe("");
    expect(await text(0, 0)).toBe("");
    expect(await store.put("a/b", new TextEncoder().encode("other"), { replace: true })).toBe("written");
    await expect(text(0, 3, version)).rejects.toMatchObject({ kind: "REMOTE_CHANGED" });
    await store.close();
  });

  it("lists everything over many pages, and stops when the caller aborts", async () => {
    const keys = ["list/b-/x", "list/b/a", "list/b.x", "list/é", "list/😀"];
    const many = Array.from({ length: 2500 }, (_, i) => `list/many/${String(i).padStart(5, "0")}`);
    for (const key of [...keys, ...many]) make(key);
    const store = await openObjects(`${LOCATION}/list`);
    const found: string[] = [];
    for await (const { key } of store.list()) found.push(`list/${key}`);
    expect(found.sort()).toEqual([...keys, ...many].sort());
    const stopped = store.list({ signal: AbortSignal.abort() })[Symbol.asyncIterator]().next();
    await expect(stopped).rejects.toMatchObject({ kind: "ABORTED" });
    await store.close();
  });

  it("lets one of many writers win", async () => {
    const store = await openObjects(LOCATION);
    const puts = Array.from({ length: 8 }, (_, i) =>
      store.put("race", new Uint8Array(100_000).fill(i), { replace: false }),
    );
    const outcomes = await Promise.all(puts);
    expect(outcomes.filter((outcome) => outcome === "written").length).toBe(1);
    const stored = await store.read("race", { offset: 0, length: 100_000 });
    expect(stored).toEqual(new Uint8Array(100_000).fill(outcomes.indexOf("written")));
    await store.close();
  });

  it("has an adapter in each directory with a configuration, and in each file of weights elsewhere", async () => {
    for (const key of [
      "peft/adapter_config.json",
      "peft/adapter_model.safetensors",
      "peft/optimizer.pt",
      "peft/README.md",
      "peft/checkpoint-5/adapter_config.json",
      "peft/checkpoint-5/adapter_model.bin",
      "peft/00000.bin",
      "peft-2/adapter_config.json",
      "peft-2/odd.safetensors",
      "flat/a.safetensors",
      "flat/b.gguf",
      "flat/notes.txt",
      ".git/x.safetensors",
      "flat/.hidden.safetensors",
    ])
      make(`found/${key}`, key);
    const store = await openObjects(`${LOCATION}/found/`);
    expect((await findAdapters(store)).map(({ name, files }) => [name, files.map(({ key }) => key)])).toEqual(
      [
        ["flat/a", ["flat/a.safetensors"]],
        ["flat/b", ["flat/b.gguf"]],
        ["peft", ["peft/adapter_config.json", "peft/adapter_model.safetensors"]],
        ["peft-2", ["peft-2/adapter_config.json", "peft-2/odd.safetensors"]],
        [
          "peft/checkpoint-5",
          ["peft/checkpoint-5/adapter_config.json", "peft/checkpoint-5/adapter_model.bin"],
        ],
      ],
    );
    await store.close();
  });
});

describe("a location", () => {
  it.each([
    "s3://",
    "s3:///x",
    "s3://a/../b",
    "s3://a/b//c",
    "s3://a/./b",
    "s3://a/b\n",
    "s3://a//",
    "s3://../x",
    "ftp://x/y",
    "/tmp",
    "S3://a/b",
    `s3://a/${"x/".repeat(600)}`,
  ])("is not %j", async (location) => {
    await expect(openObjects(location)).rejects.toMatchObject({ kind: "USAGE", exitCode: 2 });
  });
});
