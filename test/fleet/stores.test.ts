/** What the fleet relies on of its stores, shown on a real S3 server, and on the storage in memory that other tests use. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type FoundAdapter, findAdapters } from "../../src/fleet/adapters.ts";
import { type ObjectStore, openObjects } from "../../src/fleet/index.ts";
import { memoryStorage } from "../helpers/memory-fleet.ts";
import { findS3, startS3 } from "../helpers/servers.ts";

const program = findS3();
if (program === undefined)
  console.log("skipped: stores in S3: there is no versitygw; set LQA_S3 to its path");
const server = program === undefined ? undefined : await startS3(program);
Object.assign(process.env, server?.env);

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const collect = async <T>(things: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const thing of things) all.push(thing);
  return all;
};

const LOCATION = "s3://target/some/prefix";
const memory = memoryStorage();

describe.each([
  ["memory", () => memory.open(LOCATION), (key: string) => memory.put(LOCATION, key, "")],
  ...(server === undefined
    ? []
    : ([
        [
          "S3",
          () => openObjects(LOCATION),
          (key: string) => {
            const path = join(server.folder("target"), "some/prefix", key);
            mkdirSync(join(path, ".."), { recursive: true });
            writeFileSync(path, "");
          },
        ],
      ] as const)),
] as const)("%s as a store", (_name, open, make) => {
  const bytes = new TextEncoder().encode("0123456789");

  it("stores whole objects, replaces none unasked, and tells what it has", async () => {
    const store = await open();
    expect(await store.head("a/b")).toBeUndefined();
    expect(await store.read("a/b", { offset: 0, length: 4 })).toBeUndefined();
    expect(await store.digest("a/b")).toBeUndefined();
    expect(await store.put("a/b", bytes, { replace: false })).toBe("written");
    expect(await store.put("a/b", new Uint8Array(3), { replace: false })).toBe("exists");
    expect(await store.digest("a/b")).toBe(sha256(bytes));
    const { size, version } = (await store.head("a/b"))!;
    expect(size).toBe(10);
    const text = async (offset: number, length: number, pinned?: string) =>
      new TextDecoder().decode(await store.read("a/b", { offset, length, version: pinned }));
    expect(await text(0, 10)).toBe("0123456789");
    expect(await text(3, 4, version)).toBe("3456");
    expect(await text(8, 100)).toBe("89");
    expect(await text(10, 5)).toBe("");
    expect(await text(50, 5)).toBe("");
    expect(await text(0, 0)).toBe("");
    expect(await store.put("a/b", new TextEncoder().encode("other"), { replace: true })).toBe("written");
    await expect(text(0, 3, version)).rejects.toMatchObject({ kind: "REMOTE_CHANGED" });
    await store.remove("a/b");
    await store.remove("a/b");
    expect(await store.head("a/b")).toBeUndefined();
    await store.close();
  });

  it("lists in the order of bytes, from anywhere on, over many pages", async () => {
    const store = await open();
    const keys = ["b-/x", "b/a", "b/b/c", "b.x", "c", "é", "😀", "ﬀ"];
    // Two and a half pages.
    const many = Array.from({ length: 2500 }, (_, i) => `many/${String(i).padStart(5, "0")}`);
    for (const key of many) make(key);
    for (const key of keys) await store.put(key, bytes, { replace: false });
    const sorted = [...keys, ...many].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
    const all = (await collect(store.list())).map(({ key }) => key);
    expect(all).toEqual(sorted);
    const after = (await collect(store.list({ after: "many/01234" }))).map(({ key }) => key);
    expect(after).toEqual(sorted.slice(sorted.indexOf("many/01234") + 1));
    expect((await collect(store.list({ after: "b/b" }))).map(({ key }) => key)).toEqual(
      sorted.slice(sorted.indexOf("b/b/c")),
    );
    expect((await collect(store.list({ prefix: "b/" }))).map(({ key }) => key)).toEqual(["b/a", "b/b/c"]);
    const stop = AbortSignal.abort();
    await expect(collect(store.list({ signal: stop }))).rejects.toMatchObject({ kind: "ABORTED" });
    await store.close();
  });

  it("lets one of many writers win", async () => {
    const stores = await Promise.all(Array.from({ length: 8 }, open));
    const outcomes = await Promise.all(
      stores.map((store, i) => store.put("race", new Uint8Array(100_000).fill(i), { replace: false })),
    );
    expect(outcomes.filter((outcome) => outcome === "written").length).toBe(1);
    const winner = outcomes.indexOf("written");
    expect(await stores[0]!.digest("race")).toBe(sha256(new Uint8Array(100_000).fill(winner)));
    for (const store of stores) await store.close();
  });
});

describe.skipIf(server === undefined)("an object above the limit of one request", () => {
  const PART = 5 * 2 ** 20;
  const bytes = Uint8Array.from({ length: 2 * PART + 12345 }, (_, i) => (i * 2654435761) >>> 24);
  const open = () => openObjects("s3://target/parts", { s3: { partBytes: PART } });
  /** What versitygw keeps of uploads that have not ended. */
  const unfinished = () => {
    const folder = join(server!.folder("target"), ".sgwtmp/multipart");
    return existsSync(folder)
      ? readdirSync(folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile())
      : [];
  };

  it("is put in parts, and replaces none unasked", async () => {
    const store = await open();
    expect(await store.put("a.lqa", bytes, { replace: false })).toBe("written");
    expect((await store.head("a.lqa"))!.size).toBe(bytes.length);
    expect(await store.digest("a.lqa")).toBe(sha256(bytes));
    expect(await store.put("a.lqa", new Uint8Array(bytes.length), { replace: false })).toBe("exists");
    expect(await store.digest("a.lqa")).toBe(sha256(bytes));
    const other = bytes.map((byte) => byte ^ 1);
    expect(await store.put("a.lqa", other, { replace: true })).toBe("written");
    expect(await store.digest("a.lqa")).toBe(sha256(other));
    expect(unfinished()).toEqual([]);
    await store.close();
  });

  it("is not there in part if the upload stops, and no part is left", async () => {
    const store = await open();
    const stop = new AbortController();
    const put = store.put("b.lqa", bytes, { replace: false, signal: stop.signal });
    while (unfinished().length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    stop.abort();
    await expect(put).rejects.toMatchObject({ kind: "ABORTED" });
    expect(await store.head("b.lqa")).toBeUndefined();
    expect(unfinished()).toEqual([]);
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
    ".",
    "file:///tmp",
    "S3://a/b",
    `s3://a/${"x/".repeat(600)}`,
  ])("is not %j", async (location) => {
    await expect(openObjects(location)).rejects.toMatchObject({ kind: "USAGE", exitCode: 2 });
  });
});

describe("adapters in a store", () => {
  const root = "s3://in/adapters";
  const storage = memoryStorage();
  const write = (...keys: string[]): void => {
    for (const key of keys) storage.put(root, key, key);
  };
  write(
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
    "flat/z/adapter_config.json",
    ".git/x.safetensors",
    "flat/.hidden.safetensors",
  );
  const found = async (after?: string): Promise<FoundAdapter[]> =>
    await collect(findAdapters(await storage.open(root), { after }));
  const EXPECTED = [
    ["flat/a", ["flat/a.safetensors"]],
    ["flat/b", ["flat/b.gguf"]],
    ["flat/z", ["flat/z/adapter_config.json"]],
    ["peft-2", ["peft-2/adapter_config.json", "peft-2/odd.safetensors"]],
    ["peft/checkpoint-5", ["peft/checkpoint-5/adapter_config.json", "peft/checkpoint-5/adapter_model.bin"]],
    ["peft", ["peft/adapter_config.json", "peft/adapter_model.safetensors"]],
  ];

  it("are directories with a configuration, and files of weights in others", async () => {
    expect((await found()).map(({ name, files }) => [name, files.map(({ key }) => key)])).toEqual(EXPECTED);
  });

  it("are all found when a listing goes on behind any of them", async () => {
    const all = await found();
    for (const [i, { resumeAfter }] of all.entries()) {
      const rest = (await found(resumeAfter)).map(({ name }) => name);
      expect(rest).toEqual(expect.arrayContaining(all.slice(i + 1).map(({ name }) => name)));
      // What comes again is what was open at that moment.
      expect(all.map(({ name }) => name)).toEqual(expect.arrayContaining(rest));
    }
  });

  it("ask for the configuration of a directory once", async () => {
    const store = await storage.open(root);
    const asked: string[] = [];
    const counting: ObjectStore = {
      ...store,
      head: async (key) => {
        asked.push(key);
        return await store.head(key);
      },
    };
    await collect(findAdapters(counting));
    expect(asked.sort()).toEqual(["flat/adapter_config.json", "peft/adapter_config.json"]);
  });
});
