/** What the fleet relies on of its stores, shown on a directory and on a real S3 server. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeFile } from "../../src/encode-file.ts";
import { type FoundAdapter, findAdapters } from "../../src/fleet/adapters.ts";
import { type ObjectStore, openObjects, openQueue, submitFleet, workFleet } from "../../src/fleet.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { findS3, startS3 } from "../helpers/servers.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
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

describe.each([
  ["a directory", () => openObjects(join(folder, "store")), join(folder, "store")],
  ...(server === undefined
    ? []
    : ([
        ["S3", () => openObjects("s3://target/some/prefix"), join(server.folder("target"), "some/prefix")],
      ] as const)),
] as const)("%s as a store", (_name, open, place) => {
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
    mkdirSync(join(place, "many"), { recursive: true });
    // Two and a half pages.
    const many = Array.from({ length: 2500 }, (_, i) => `many/${String(i).padStart(5, "0")}`);
    for (const key of many) writeFileSync(join(place, key), "");
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

describe("a directory as a store", () => {
  it("lets no key lead out of it, and follows no links to directories", async () => {
    const root = join(folder, "closed");
    mkdirSync(join(root, "inside"), { recursive: true });
    symlinkSync(folder, join(root, "inside", "out"));
    const store = await openObjects(root);
    for (const key of ["../x", "a/../../x", "/x", "a//b", "a\\b", ".", "a/\u0000", `${"x".repeat(300)}`])
      await expect(store.put(key, new Uint8Array(1), { replace: false })).rejects.toMatchObject({
        kind: "USAGE",
      });
    expect(await collect(store.list())).toEqual([]);
    await expect(openObjects(join(root, "inside", "out", "x"))).resolves.toBeDefined();
    writeFileSync(join(root, "file"), "");
    await expect(openObjects(join(root, "file"))).rejects.toMatchObject({ kind: "IO" });
    await expect(openObjects("ftp://x")).rejects.toMatchObject({ kind: "USAGE" });
    await expect(openObjects("s3://")).rejects.toMatchObject({ kind: "USAGE" });
  });

  it("removes what killed processes left", async () => {
    const root = join(folder, "left");
    const scratch = join(root, ".lqa-fleet/tmp");
    mkdirSync(join(scratch, "999999999-1"), { recursive: true });
    writeFileSync(join(scratch, "999999999-1", "half"), "half");
    await openObjects(root);
    expect(listing(scratch)).toEqual([]);
  });
});

describe("adapters in a store", () => {
  const root = join(folder, "adapters");
  const write = (...keys: string[]): void => {
    for (const key of keys) {
      mkdirSync(join(root, key, ".."), { recursive: true });
      writeFileSync(join(root, key), key);
    }
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
    await collect(findAdapters(await openObjects(root), { after }));
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
    const store = await openObjects(root);
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

describe("a large adapter", () => {
  it("is fetched in pieces, and encoded beside small ones", { timeout: 120_000 }, async () => {
    const [from, to] = [join(folder, "large"), join(folder, "large-out")];
    // 40 MB, and 6 KB.
    writePeftDirectory(join(from, "large"), { layers: 1, rank: 64, width: 65536 });
    writePeftDirectory(join(from, "small"), { layers: 1 });
    const { path: _local, ...source } = await openObjects(from);
    const target = await openObjects(to);
    const lengths: number[] = [];
    const remote: ObjectStore = {
      ...source,
      async read(key, range, signal) {
        lengths.push(range.length);
        return await source.read(key, range, signal);
      },
    };
    const stores = { open: async (at: string) => (at === from ? remote : target), close: async () => {} };
    const queue = await openQueue(to);
    await submitFleet(queue, stores, { source: from, target: to, settings: { profile: "sign" } });
    lengths.length = 0;
    expect(await workFleet(queue, stores, { concurrency: 1, untilEmpty: true })).toMatchObject({
      encoded: 2,
    });
    expect(Math.max(...lengths)).toBeLessThanOrEqual(8 * 2 ** 20);
    expect(lengths.length).toBeGreaterThan(8);
    await encodeFile(join(from, "large"), join(folder, "large.lqa"), { profile: "sign", workers: 1 });
    expect(readFileSync(join(to, "large.lqa")).equals(readFileSync(join(folder, "large.lqa")))).toBe(true);
  });
});
