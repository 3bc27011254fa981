/**
 * A source that answers from several files: whatever it does, and whenever it begins, what is handed out is of one file,
 * the one that was pinned when it was opened.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { isLqaError, type LqaFile, memorySource, open } from "../../src/core/index.ts";
import { directoryStore, openFileSource } from "../../src/node/index.ts";
import { AdapterPool, type AdapterStore, httpStore, objectStore } from "../../src/serve/index.ts";
import { bands, fileBytes, packed, shape, smallInput, tensor } from "../container/fixtures.ts";
import { answerRange, good, serve } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { factorsIn } from "../webgpu/packed.ts";
import { text } from "./events.ts";

/** Two files of one structure: only weights and digests differ. */
let files: readonly [Uint8Array, Uint8Array];
let ids: readonly string[];
/** What each file has, by module. */
let contents: readonly ReadonlyMap<string, string>[];
/** A small module that shares its span with a tensor of 12 MB. */
let long: Uint8Array;

async function fileOf(seed: number): Promise<Uint8Array> {
  const modules = Array.from({ length: 24 }, (_, i) =>
    packed(shape(`layers.${i}.q`, { out: 5000, in: 5000, rank: 5, alpha: 10 }), bands(2, 3), seed + i),
  );
  return await fileBytes({ ...smallInput(), modules, tensors: [] });
}

beforeAll(async () => {
  files = [await fileOf(1), await fileOf(1000)];
  const opened = await Promise.all(files.map((bytes) => open(bytes)));
  ids = await Promise.all(opened.map(async (file) => (await file.storedIds()).fileId));
  contents = await Promise.all(
    opened.map(async (file) => {
      const found = new Map<string, string>();
      for await (const { record, factors } of file.packedAll()) found.set(record.name, text(factors));
      return found;
    }),
  );
  expect(opened[0]!.index.trailer).toEqual(opened[1]!.index.trailer);
  const data = new Uint8Array(12_000_000).map((_, i) => i % 2);
  const big = tensor("big", { element: "BOOL", shape: [data.length], data });
  long = await fileBytes({ ...smallInput(), tensors: [big], compressTensors: false });
}, 60_000);

/** Answers from the first file, and after `turn` reads from the second one. */
function changing(turn: number) {
  const source = {
    reads: 0,
    size: files[0].length,
    async read(offset: number, length: number): Promise<Uint8Array> {
      const bytes = files[source.reads++ < turn ? 0 : 1];
      return bytes.slice(offset, offset + length);
    },
  };
  return source;
}

/** How a file may be read; each gives the modules that it was handed, by name. */
const WAYS: Record<string, (file: LqaFile, got: Map<string, string>) => Promise<void>> = {
  async "one by one"(file, got) {
    for (const { name } of file.modules) got.set(name, text(await file.packed(name)));
  },
  async "many at once"(file, got) {
    for await (const { record, factors } of file.packedAll()) got.set(record.name, text(factors));
  },
  async "by events"(file, got) {
    for await (const event of file.events())
      if (event.type === "module") got.set(event.record.name, text(event.factors));
  },
};

describe("a source that changes the file after its answer number k", () => {
  test.each(Object.entries(WAYS))("gives weights of one file, read %s", async (_, read) => {
    let failures = 0;
    for (let turn = 0; ; turn++) {
      const source = changing(turn);
      const got = new Map<string, string>();
      let opened: LqaFile | undefined;
      try {
        opened = await open(source, { rangeBytes: 40_000, gapBytes: 0 });
        await read(opened, got);
        const verified = await opened.verify();
        expect(verified).toEqual(await opened.storedIds());
      } catch (error) {
        if (!isLqaError(error)) throw error;
        expect(["ROOT_DIGEST", "SPAN_DIGEST", "CHUNK_CRC"]).toContain(error.kind);
        failures++;
      }
      // The pinned file is the one whose digest list was read; prologue and index of the two are the same.
      const pinned = opened === undefined ? 0 : ids.indexOf((await opened.storedIds()).fileId);
      for (const [name, factors] of got) expect(factors === contents[pinned]!.get(name)).toBe(true);
      // It did not change while it was read.
      if (source.reads <= turn) break;
    }
    expect(failures).toBeGreaterThan(0);
  });

  test("does not get through a server that keeps the entity tag either", async () => {
    for (const turn of [1, 2, 3, 4, 5]) {
      const server = await serve((_request, response, asked) =>
        answerRange(files[asked.number < turn ? 0 : 1], response, asked),
      );
      const got = new Map<string, string>();
      const reading = async (): Promise<void> => {
        const file = await open(new URL(server.url), { rangeBytes: 40_000, gapBytes: 0, ahead: 1 });
        await WAYS["one by one"]!(file, got);
        await file.verify();
      };
      await expect(reading()).rejects.toThrow(/ROOT_DIGEST|SPAN_DIGEST/);
      const pinned = turn === 1 ? 1 : 0;
      for (const [name, factors] of got) expect(factors === contents[pinned]!.get(name)).toBe(true);
    }
  });

  test("is not verified by the second file", async () => {
    const source = changing(4);
    const file = await open(source, { rangeBytes: 40_000 });
    await file.packed("layers.10.q");
    await file.packed("layers.20.q");
    expect(source.reads).toBe(4);
    await expect(file.verify()).rejects.toThrow(/SPAN_DIGEST/);
  });
});

describe("the expected file id", () => {
  test("is compared when the file is opened, whatever the source", async () => {
    const path = join(temporaryDirectory(), "a.lqa");
    writeFileSync(path, files[0]);
    const fileSource = await openFileSource(path);
    const server = await serve(good(files[0]));
    const ways: ((fileId: string) => Promise<LqaFile>)[] = [
      (fileId) => open(memorySource(files[0]), { fileId }),
      (fileId) => open(fileSource, { fileId }),
      (fileId) => open(new URL(server.url), { fileId }),
    ];
    for (const open of ways) {
      const file = await open(ids[0]!.toUpperCase());
      expect((await file.storedIds()).fileId).toBe(ids[0]);
      const error = await open(ids[1]!).catch((e: unknown) => e);
      expect(isLqaError(error, "WRONG_FILE")).toBe(true);
      expect(String(error)).toContain(`expected ${ids[1]}, found ${ids[0]}`);
      await expect(open("abc")).rejects.toThrow(/USAGE.*64 hexadecimal digits/);
    }
    await fileSource.close();
  });

  test("is what a damaged trailer and a foreign digest list fail against", async () => {
    const { index } = await open(files[0]);
    for (const [at, kind] of [
      [index.trailer.offset, "TRAILER_CRC"],
      [index.digests.offset + 40, "ROOT_DIGEST"],
    ] as const) {
      const bytes = files[0].slice();
      bytes[at]! ^= 1;
      const error = await open(memorySource(bytes), { fileId: ids[0] }).catch((e: unknown) => e);
      expect(isLqaError(error, kind)).toBe(true);
    }
  });
});

test("a span that is longer than a range is proven in pieces, and only what is wanted is held", async () => {
  const source = changing(0);
  const reads: number[] = [];
  source.size = long.length;
  source.read = async (offset, length) => {
    reads.push(length);
    return long.slice(offset, offset + length);
  };
  const whole = await open(long);
  const [name] = whole.modules.map((m) => m.name);
  const file = await open(source, { budgetBytes: 2 ** 20 });
  expect(text(await file.packed(name!))).toBe(text(await whole.packed(whole.module(name!))));
  expect(Math.max(...reads)).toBe(8 * 2 ** 20);
  await expect(file.tensor(file.tensors[0]!)).rejects.toThrow(/BUDGET/);
  const rich = await open(source);
  const { data } = await rich.tensor(rich.tensors[0]!);
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  expect(sha256(data)).toBe(sha256((await whole.tensor(whole.tensors[0]!)).data));
  // A byte of the tensor is wrong: the module is intact, and still not handed out.
  long = long.slice();
  long[whole.tensors[0]!.chunk.offset + 10_000_000]! ^= 1;
  await expect(file.packed(name!)).rejects.toThrow(/SPAN_DIGEST/);
  await expect(rich.tensor(rich.tensors[0]!)).rejects.toThrow(/CHUNK_CRC/);
});

test("a file that is written to while it is open is an error; one that is replaced is read on", async () => {
  const path = join(temporaryDirectory(), "a.lqa");
  writeFileSync(path, files[0]);
  const source = await openFileSource(path);
  const file = await open(source);
  await file.packed("layers.10.q");
  await new Promise((resolve) => setTimeout(resolve, 30));
  writeFileSync(path, files[1]);
  await expect(file.packed("layers.20.q")).rejects.toThrow(/LQA-X001 IO.*written to meanwhile/);
  await source.close();
});

describe("a pool", () => {
  const budgetBytes = 2 ** 26;
  const LAYERS = ["layers.3.q", "layers.20.q"];
  /** Stores of one adapter whose file changes after some answers. */
  const stores: [string, (turn: number) => Promise<AdapterStore>][] = [
    ["any source", async (turn) => ({ open: async () => ({ source: changing(turn) }) })],
    [
      "an object store",
      async (turn) => {
        const source = changing(turn);
        const head = async () => ({ size: files[0].length, version: "1" });
        return objectStore({ head, read: async (_, { offset, length }) => source.read(offset, length) });
      },
    ],
    [
      "a web server",
      async (turn) => {
        const { url } = await serve((_request, response, asked) =>
          answerRange(files[asked.number < turn ? 0 : 1], response, asked),
        );
        return httpStore(url.replace(/[^/]*$/, ""), { attempts: 1 });
      },
    ],
  ];

  test.each(stores)("never has modules of two files, from %s", async (_, storeOf) => {
    for (const verify of [true, false])
      for (const turn of [1, 2, 3, 4]) {
        const store = await storeOf(turn);
        const pool = new AdapterPool({ budgetBytes, store, verify, completeInBackground: false });
        const got = new Map<string, string>();
        try {
          const lease = await pool.acquire("a", { modules: [LAYERS[0]!] });
          await lease.load([LAYERS[1]!]);
          for (const name of LAYERS) got.set(name, text(factorsIn(lease.packed(name)!)));
          lease.release();
        } catch (error) {
          if (!isLqaError(error)) throw error;
          expect(["ROOT_DIGEST", "SPAN_DIGEST", "CHUNK_CRC"]).toContain(error.kind);
        }
        const one = contents.some((known) =>
          [...got].every(([name, factors]) => factors === known.get(name)),
        );
        expect(one).toBe(true);
        pool.clear();
      }
  });

  test("asks a web server twice to open an adapter", async () => {
    const { url, requests } = await serve(good(files[0]));
    const pool = new AdapterPool({ budgetBytes, store: httpStore(url.replace(/[^/]*$/, "")), verify: false });
    await pool.add("a", async () => ({
      source: (await httpStore(url.replace(/[^/]*$/, "")).open("a")).source,
    }));
    expect(requests.map(({ headers }) => headers.range?.slice(6))).toEqual([
      "0-65535",
      expect.stringMatching(new RegExp(`-${files[0].length - 1}$`)),
    ]);
    pool.clear();
  });

  test("takes the file id that a store knows", async () => {
    const folder = temporaryDirectory();
    writeFileSync(join(folder, "a.lqa"), files[0]);
    const directory = directoryStore(folder);
    const known = (fileId: string): AdapterStore => ({
      open: async (name) => ({ ...(await directory.open(name)), fileId }),
    });
    for (const verify of [true, false]) {
      const pool = new AdapterPool({ budgetBytes, store: known(ids[0]!), verify });
      (await pool.acquire("a")).release();
      const other = new AdapterPool({ budgetBytes, store: known(ids[1]!), verify });
      await expect(other.acquire("a")).rejects.toThrow(/WRONG_FILE/);
      pool.clear();
    }
  });
});
