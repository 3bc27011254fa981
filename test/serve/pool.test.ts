import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  type ByteSource,
  type ErrorName,
  isLqaError,
  memorySource,
  open,
  type PlainTensor,
  type TensorRole,
} from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { directoryStore } from "../../src/node/index.ts";
import {
  AdapterPool,
  type AdapterStore,
  applyPacked,
  httpStore,
  memoryStore,
  objectStore,
} from "../../src/serve/index.ts";
import { numberToF16 } from "../helpers/floats.ts";
import { answerRange, serve } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { anyAdapter, fileOf, Random } from "./modules.ts";

const MIB = 2 ** 20;
const NAMES = ["a", "b", "c", "d"] as const;
const adapters = NAMES.map((_, i) => anyAdapter(20 + i));
const files = new Map<string, Uint8Array>(
  await Promise.all(NAMES.map(async (name, i) => [name, await fileOf(adapters[i]!)] as const)),
);
const LAYER = "layers.1.q_proj";
const x = new Random(1).floats(96);

/** What an adapter adds to zeros. */
function expected(adapter: number, layer = 1): Float32Array {
  const y = new Float32Array(96);
  applyPacked(adapters[adapter]![layer]!, x, y);
  return y;
}

async function outcome(pool: AdapterPool, name: string): Promise<Float32Array> {
  const lease = await pool.acquire(name);
  const y = new Float32Array(96);
  expect(lease.apply(LAYER, x, y)).toBe(true);
  lease.release();
  return y;
}

async function refused(promise: Promise<unknown>, kind: ErrorName): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (caught) => caught,
  );
  expect(error === undefined ? "no error" : isLqaError(error) ? error.kind : error).toBe(kind);
}

function refusedNow(run: () => unknown, kind: ErrorName): void {
  let error: unknown;
  try {
    run();
  } catch (caught) {
    error = caught;
  }
  expect(isLqaError(error) ? error.kind : error).toBe(kind);
}

/** A store that counts, and waits on request. */
function watched(inner: AdapterStore = memoryStore(files)): AdapterStore & {
  opened: string[];
  closed: number;
  bytes: number;
  gate: Promise<void> | undefined;
} {
  const store = {
    opened: [] as string[],
    closed: 0,
    bytes: 0,
    gate: undefined as Promise<void> | undefined,
    async open(name: string, signal?: AbortSignal) {
      store.opened.push(name);
      const { source } = await inner.open(name, signal);
      const read: ByteSource["read"] = async (offset, length, aborted) => {
        await store.gate;
        const bytes = await source.read(offset, length, aborted);
        store.bytes += bytes.length;
        return bytes;
      };
      return {
        source: { size: source.size, read },
        async close() {
          store.closed++;
        },
      };
    },
  };
  return store;
}

/** Bytes one of these adapters counts. */
async function bytesOf(name: string): Promise<number> {
  const pool = new AdapterPool({ budgetBytes: MIB, store: memoryStore(files) });
  (await pool.acquire(name)).release();
  return pool.statistics.packedBytes;
}

describe("a pool", () => {
  it.each([true, false])("loads requested adapters from its store, once (verify %s)", async (verify) => {
    const store = watched();
    const pool = new AdapterPool({ budgetBytes: MIB, store, verify });
    for (const [i, name] of NAMES.entries()) expect(await outcome(pool, name)).toEqual(expected(i));
    for (const [i, name] of NAMES.entries()) expect(await outcome(pool, name)).toEqual(expected(i));
    expect(store.opened).toEqual([...NAMES]);
    expect(pool.statistics).toMatchObject({
      hits: 4,
      misses: 4,
      loads: 4,
      adapters: 4,
      resident: 4,
      leases: 0,
    });
    expect(store.closed).toBe(4);
  });

  it("takes adapters from a directory, a web server and an object store", async () => {
    const directory = temporaryDirectory();
    for (const [name, bytes] of files) writeFileSync(join(directory, `${name}.lqa`), bytes);
    const server = await serve((request, response, asked) => {
      const bytes = files.get(/\/([a-z]+)\.lqa$/.exec(request.url ?? "")?.[1] ?? "");
      if (bytes === undefined) response.writeHead(404).end();
      else answerRange(bytes, response, asked);
    });
    const web = server.url.replace(/[^/]+$/, "");
    const objects = objectStore(
      {
        async read(key, { offset, length }) {
          return files.get(key.replace(/^models\/(.*)\.lqa$/, "$1"))?.subarray(offset, offset + length);
        },
      },
      "models/",
    );
    for (const store of [directoryStore(directory), httpStore(web), objects]) {
      const pool = new AdapterPool({ budgetBytes: MIB, store });
      expect(await outcome(pool, "c")).toEqual(expected(2));
      await refused(pool.acquire("missing"), "UNKNOWN_ADAPTER");
      for (const name of ["../a", "..", "", "a/b", "a\\b", "a\0", "x".repeat(600)])
        await refused(pool.acquire(name), "UNKNOWN_ADAPTER");
      expect([...pool.names]).toEqual(["c"]);
    }
    refusedNow(() => httpStore("https://example.org/adapters"), "USAGE");
  });

  it("reads one version of an object, if the store knows versions", async () => {
    const versions = [files.get("a")!, files.get("b")!];
    let version = 0;
    let changesAfterHead = false;
    const asked: [number, number][] = [];
    const store = objectStore({
      async head(key) {
        if (key !== "a.lqa") return undefined;
        const found = { size: versions[version]!.length, version: String(version) };
        if (changesAfterHead) version = 1;
        return found;
      },
      async read(_key, { offset, length, version: wanted }) {
        asked.push([offset, length]);
        if (wanted !== String(version)) throw new Error("412");
        return versions[version]!.subarray(offset, offset + length);
      },
    });
    const pool = new AdapterPool({ budgetBytes: MIB, store });
    expect(await outcome(pool, "a")).toEqual(expected(0));
    // Absent modules are not requested.
    expect(asked.every(([offset, length]) => length > 0 && offset + length <= versions[0]!.length)).toBe(
      true,
    );
    await refused(pool.acquire("b"), "UNKNOWN_ADAPTER");
    changesAfterHead = true;
    await refused(pool.replace("a"), "IO");
    // The old one stays; the next one is whole.
    expect(await outcome(pool, "a")).toEqual(expected(0));
    await pool.replace("a");
    expect(await outcome(pool, "a")).toEqual(expected(1));
  });

  it("loads an adapter once for all who ask at the same time", async () => {
    const store = watched();
    const pool = new AdapterPool({ budgetBytes: MIB, store });
    const all = await Promise.all(Array.from({ length: 20 }, () => outcome(pool, "a")));
    for (const y of all) expect(y).toEqual(expected(0));
    expect(store.opened).toEqual(["a"]);
  });

  it("does not make others wait forever, or fail, when the loading caller gives up", async () => {
    const store = watched();
    let open = (): void => {};
    store.gate = new Promise((resolve) => (open = resolve));
    const pool = new AdapterPool({ budgetBytes: MIB, store });
    const [first, second] = [new AbortController(), new AbortController()];
    const loading = pool.acquire("a", { signal: first.signal });
    const waiting = pool.acquire("a", { signal: second.signal });
    const patient = outcome(pool, "a");
    second.abort();
    await refused(waiting, "ABORTED");
    first.abort();
    open();
    await refused(loading, "ABORTED");
    expect(await patient).toEqual(expected(0));
    await refused(pool.acquire("a", { signal: AbortSignal.abort() }), "ABORTED");
    expect(pool.statistics.leases).toBe(0);
  });

  it("lets go of what was not used again, and loads it again", async () => {
    const each = Math.max(...(await Promise.all(NAMES.map(bytesOf))));
    const store = watched();
    const pool = new AdapterPool({ budgetBytes: 2 * each, store });
    await outcome(pool, "a");
    await outcome(pool, "b");
    await outcome(pool, "a");
    await outcome(pool, "c");
    expect(["a", "b", "c"].map((name) => pool.isResident(name))).toEqual([true, false, true]);
    expect(await outcome(pool, "b")).toEqual(expected(1));
    expect(pool.statistics.evictions).toBe(2);
    expect(pool.statistics.usedBytes).toBeLessThanOrEqual(2 * each);
    expect(pool.statistics.usedBytes).toBe(pool.statistics.packedBytes);
  });

  it("does not let go of what is pinned or in use, and says so instead", async () => {
    const each = Math.max(...(await Promise.all(NAMES.map(bytesOf))));
    const pool = new AdapterPool({ budgetBytes: 2 * each, store: memoryStore(files) });
    await pool.pin("a");
    const lease = await pool.acquire("b");
    await refused(pool.acquire("c"), "BUDGET");
    expect(["a", "b"].map((name) => pool.isResident(name))).toEqual([true, true]);
    lease.release();
    await outcome(pool, "c");
    expect(pool.isResident("a")).toBe(true);
    pool.unpin("a");
    await outcome(pool, "b");
    await outcome(pool, "d");
    expect(pool.isResident("a")).toBe(false);
  });

  it("refuses an adapter above its whole budget, and keeps the others", async () => {
    const large = anyAdapter(99, 12);
    const own = new Map([...files, ["large", await fileOf(large)]]);
    const pool = new AdapterPool({ budgetBytes: 3 * (await bytesOf("a")), store: memoryStore(own) });
    await outcome(pool, "a");
    await refused(pool.acquire("large"), "BUDGET");
    await refused(pool.add("new", own.get("large")!), "BUDGET");
    expect(pool.isResident("a")).toBe(true);
    expect(pool.statistics.evictions).toBe(0);
    expect([...pool.names]).toEqual(["a"]);
  });

  it.each([true, false])(
    "finds a broken file when it is loaded, and harms nobody else (verify %s)",
    async (verify) => {
      const own = new Map(files);
      const broken = files.get("b")!.slice();
      const { modules } = await open(files.get("b")!);
      broken[modules[1]!.chunk.offset]! ^= 1;
      own.set("b", broken);
      const pool = new AdapterPool({ budgetBytes: MIB, store: memoryStore(own), verify });
      const lease = await pool.acquire("a");
      await refused(pool.acquire("b"), "CHUNK_CRC");
      await refused(pool.acquire("b"), "CHUNK_CRC");
      const y = new Float32Array(96);
      lease.apply(LAYER, x, y);
      expect(y).toEqual(expected(0));
      lease.release();
      if (!verify) {
        // The other modules are whole.
        const some = await pool.acquire("b", { modules: ["layers.0.q_proj"] });
        expect(some.apply("layers.0.q_proj", x, new Float32Array(96))).toBe(true);
        some.release();
      }
      own.set("b", files.get("b")!);
      if (!verify) pool.remove("b");
      expect(await outcome(pool, "b")).toEqual(expected(1));
      expect(pool.statistics.leases).toBe(0);
      expect(pool.statistics.usedBytes).toBe(pool.statistics.packedBytes);
    },
  );

  it("makes of what a store throws an error of its own kind", async () => {
    const store: AdapterStore = {
      async open(name) {
        if (name === "b") return { source: { read: () => Promise.reject(new TypeError("fetch failed")) } };
        throw new Error("no credentials");
      },
    };
    const pool = new AdapterPool({ budgetBytes: MIB, store });
    await refused(pool.acquire("a"), "IO");
    await refused(pool.acquire("b"), "IO");
    expect([...pool.names]).toEqual([]);
  });

  it("keeps what a file source has read, and copies what is in memory of others", async () => {
    const random = new Random(9);
    const [out, rank] = [512, 16];
    const shape = {
      name: "q",
      role: "linear",
      out,
      in: out,
      kernel: [],
      experts: 1,
      rank,
      baseLayout: "out-in",
    } as const;
    const module = {
      ...shape,
      multiplier: 1,
      alpha: 0,
      rule: "none",
      b: random.floats(out * rank),
      a: random.floats(out * rank),
    } as const;
    const adapter = { modules: [module], tensors: [], origin: undefined, meta: {} };
    const { bytes } = await encodeAdapter(adapter, { bits: 6 });
    /** Whether overwriting the arrays that the source gave out changes what a lease computes. */
    const keeps = async (source: ByteSource, given: readonly Uint8Array[]): Promise<boolean> => {
      const store = { open: async () => ({ source }) };
      const lease = await new AdapterPool({ budgetBytes: MIB, verify: false, store }).acquire("a");
      const y = [new Float32Array(out), new Float32Array(out)] as const;
      lease.apply("q", new Float32Array(out).fill(1), y[0]);
      for (const piece of given) piece.fill(0);
      lease.apply("q", new Float32Array(out).fill(1), y[1]);
      expect(y[0].some((value) => value !== 0)).toBe(true);
      return y[0].some((value, o) => value !== y[1][o]);
    };
    const pieces = (fresh: boolean): Promise<boolean> => {
      const given: Uint8Array[] = [];
      const read = async (offset: number, length: number): Promise<Uint8Array> => {
        const piece = bytes.slice(offset, offset + length);
        given.push(piece);
        return piece;
      };
      return keeps({ size: bytes.length, stable: true, ...(fresh && { fresh }), read }, given);
    };
    expect(await pieces(true)).toBe(true);
    expect(await pieces(false)).toBe(false);
    const own = bytes.slice();
    expect(await keeps(memorySource(own), [own])).toBe(false);
  });

  it("reads no more than requested, without verify", async () => {
    const store = watched();
    const options = { budgetBytes: MIB, store, verify: false, completeInBackground: false };
    const many = await fileOf(anyAdapter(50, 300));
    files.set("many", many);
    try {
      const pool = new AdapterPool(options);
      const lease = await pool.acquire("many", { modules: ["layers.7.q_proj", "layers.999.q_proj"] });
      expect(store.bytes).toBeLessThan(0.6 * many.length);
      expect(lease.apply("layers.7.q_proj", x, new Float32Array(96))).toBe(true);
      expect(lease.apply("layers.999.q_proj", x, new Float32Array(96))).toBe(false);
      refusedNow(() => lease.apply("layers.250.q_proj", x, new Float32Array(96)), "USAGE");
      await lease.load(["layers.250.q_proj"]);
      expect(lease.apply("layers.250.q_proj", x, new Float32Array(96))).toBe(true);
      expect(store.closed).toBe(0);
      await lease.load();
      expect(store.closed).toBe(1);
      lease.release();
    } finally {
      files.delete("many");
    }
  });
});

describe("adapters of a pool that change while requests run", () => {
  it("are added from bytes, which are never evicted, and from sources", async () => {
    const each = Math.max(...(await Promise.all(NAMES.map(bytesOf))));
    const pool = new AdapterPool({ budgetBytes: 2 * each });
    await pool.add("own", files.get("a")!);
    await pool.add("other", memorySource(files.get("b")!));
    await refused(pool.add("own", files.get("b")!), "USAGE");
    await pool.add("third", async () => ({ source: memorySource(files.get("c")!) }));
    expect(pool.isResident("own")).toBe(true);
    expect(pool.isResident("other")).toBe(false);
    expect(await outcome(pool, "own")).toEqual(expected(0));
    expect(await outcome(pool, "other")).toEqual(expected(1));
    await refused(pool.acquire("none"), "UNKNOWN_ADAPTER");
    await refused(pool.add("bad", new Uint8Array(100)), "BAD_MAGIC");
    await refused(pool.acquire("bad"), "UNKNOWN_ADAPTER");
  });

  it("stay as they were for leases when they are removed or replaced", async () => {
    const pool = new AdapterPool({ budgetBytes: MIB });
    await pool.add("n", files.get("a")!);
    const old = await pool.acquire("n");
    await pool.replace("n", files.get("b")!);
    const y = new Float32Array(96);
    old.apply(LAYER, x, y);
    expect(y).toEqual(expected(0));
    expect(await outcome(pool, "n")).toEqual(expected(1));
    expect(pool.statistics.contents).toBe(2);
    old.release();
    expect(pool.statistics.contents).toBe(1);
    const lease = await pool.acquire("n");
    refusedNow(() => pool.remove("n", { ifIdle: true }), "ADAPTER_IN_USE");
    pool.remove("n");
    await refused(pool.acquire("n"), "UNKNOWN_ADAPTER");
    const z = new Float32Array(96);
    lease.apply(LAYER, x, z);
    expect(z).toEqual(expected(1));
    lease.release();
    lease.release();
    expect(pool.statistics).toMatchObject({ usedBytes: 0, contents: 0, leases: 0 });
    refusedNow(() => pool.remove("n"), "UNKNOWN_ADAPTER");
    refusedNow(() => pool.unpin("n"), "UNKNOWN_ADAPTER");
  });

  it("keep their old version if the new one is broken", async () => {
    const own = new Map(files);
    const pool = new AdapterPool({ budgetBytes: MIB, store: memoryStore(own) });
    await outcome(pool, "a");
    own.set("a", files.get("a")!.subarray(0, 200));
    await refused(pool.replace("a"), "TRUNCATED_FILE");
    expect(await outcome(pool, "a")).toEqual(expected(0));
    own.set("a", files.get("b")!);
    await pool.replace("a");
    expect(await outcome(pool, "a")).toEqual(expected(1));
    await refused(pool.replace("nobody"), "UNKNOWN_ADAPTER");
  });

  it("may be removed and replaced while they are loaded", async () => {
    const store = watched();
    let open = (): void => {};
    store.gate = new Promise((resolve) => (open = resolve));
    const pool = new AdapterPool({ budgetBytes: MIB, store });
    const waiting = outcome(pool, "a");
    // Listened to at once: it may fail before the other load has ended.
    const adding = refused(pool.add("own", (await store.open("b")).source), "UNKNOWN_ADAPTER");
    await Promise.resolve();
    pool.remove("own");
    pool.remove("a");
    open();
    // The store still has it.
    expect(await waiting).toEqual(expected(0));
    await adding;
    expect(pool.statistics).toMatchObject({ leases: 0, adapters: 1, contents: 1 });
    pool.clear();
    expect(pool.statistics).toMatchObject({ usedBytes: 0, adapters: 0, contents: 0 });
  });
});

describe("contents", () => {
  it("are shared by names of the same one, and stay until the last is gone", async () => {
    const own = new Map([...files, ["twin", files.get("a")!]]);
    const pool = new AdapterPool({ budgetBytes: MIB, store: memoryStore(own) });
    await outcome(pool, "a");
    const { usedBytes } = pool.statistics;
    expect(await outcome(pool, "twin")).toEqual(expected(0));
    expect(pool.statistics).toMatchObject({ usedBytes, deduplicated: 1, resident: 2, contents: 1 });
    pool.remove("a");
    expect(await outcome(pool, "twin")).toEqual(expected(0));
    pool.remove("twin");
    expect(pool.statistics.usedBytes).toBe(0);
  });

  it("are not taken for what a file says it is", async () => {
    // The digest list of b says that its content is a's.
    const [a, b] = [await open(files.get("a")!), await open(files.get("b")!)];
    const forged = files.get("b")!.slice();
    const id = Uint8Array.from((await a.storedIds()).contentId.match(/../g)!, (byte) =>
      Number.parseInt(byte, 16),
    );
    forged.set(id, b.index.digests.offset);
    const own = new Map([...files, ["forged", forged]]);
    const pool = new AdapterPool({ budgetBytes: MIB, store: memoryStore(own) });
    await outcome(pool, "a");
    const error = await pool.acquire("forged").catch((caught) => caught);
    expect(["ROOT_DIGEST", "CONTENT_ID"]).toContain(error.kind);
    // Without ids that are trusted, everybody has what is in the own file.
    const lazy = new AdapterPool({ budgetBytes: MIB, store: memoryStore(own), verify: false });
    await outcome(lazy, "a");
    expect(await outcome(lazy, "forged")).toEqual(expected(1));
    const trusting = new AdapterPool({
      budgetBytes: MIB,
      store: memoryStore(new Map([...files, ["twin", files.get("a")!]])),
      verify: false,
      trustStoredIds: true,
    });
    await outcome(trusting, "a");
    expect(await outcome(trusting, "twin")).toEqual(expected(0));
    expect(trusting.statistics).toMatchObject({ deduplicated: 1, contents: 1 });
  });
});

describe("decoded factors", () => {
  it("are cached within the budget, kept while a lease needs them, and go first", async () => {
    const each = Math.max(...(await Promise.all(NAMES.map(bytesOf))));
    const factorBytes = 4 * 3 * 2 * 96;
    const pool = new AdapterPool({ budgetBytes: each + 2 * factorBytes, store: memoryStore(files) });
    const lease = await pool.acquire("a");
    const first = lease.decode("layers.0.q_proj")!;
    expect(lease.decode("layers.0.q_proj")).toBe(first);
    expect(lease.decode("layers.0.q_proj", { type: "f16" })).not.toBe(first);
    expect(first).toEqual(await (await open(files.get("a")!)).decode("layers.0.q_proj"));
    refusedNow(() => {
      lease.decode("layers.1.q_proj");
      lease.decode("layers.2.q_proj");
    }, "BUDGET");
    expect(lease.decode("layers.9.q_proj")).toBeUndefined();
    lease.release();
    refusedNow(() => lease.decode("layers.0.q_proj"), "USAGE");
    const again = await pool.acquire("a");
    for (const layer of [1, 2]) again.decode(`layers.${layer}.q_proj`);
    expect(pool.statistics.decodedEvictions).toBeGreaterThan(0);
    again.release();
    expect(pool.statistics.usedBytes).toBe(pool.statistics.packedBytes + pool.statistics.decodedBytes);
    await outcome(pool, "b");
    expect(pool.statistics.decodedBytes).toBe(0);
    expect(pool.statistics.usedBytes).toBeLessThanOrEqual(pool.statistics.budgetBytes);
  });
});

describe("what an adapter carries beside its modules", () => {
  const tensor = (role: TensorRole, name: string, values: number[]): PlainTensor => {
    const data = new Uint8Array(Uint16Array.from(values, numberToF16).buffer);
    return { name, role, element: "F16", shape: [values.length], axis: 0, data };
  };

  it.each([true, false])("is applied if it is a bias of a module (verify %s)", async (verify) => {
    const values = Array.from({ length: 96 }, (_, i) => i / 8);
    const bytes = await fileOf(adapters[0]!, [
      tensor("lora-bias", LAYER, values),
      tensor("carried", "z", [1]),
    ]);
    const pool = new AdapterPool({ budgetBytes: MIB, verify });
    await pool.add("n", memorySource(bytes));
    const update = expected(0);
    expect(await outcome(pool, "n")).toEqual(update.map((value, o) => value + 0.5 * values[o]!));
  });

  it("is refused unless the host deals with it", async () => {
    const bytes = await fileOf(adapters[0]!, [tensor("magnitude", LAYER, new Array(96).fill(1))]);
    await refused(new AdapterPool({ budgetBytes: MIB }).add("n", bytes), "CANNOT_APPLY");
    const pool = new AdapterPool({ budgetBytes: MIB, hostTensors: ["magnitude"] });
    await pool.add("n", bytes);
    const lease = await pool.acquire("n");
    expect(lease.tensor("magnitude", LAYER)?.data.length).toBe(192);
    lease.release();
  });

  it("must fit the base model, if its shapes are given", async () => {
    const shapes = new Map(["0", "1", "2"].map((layer) => [`layers.${layer}.q_proj.weight`, [96, 96]]));
    await new AdapterPool({ budgetBytes: MIB, base: shapes }).add("n", files.get("a")!);
    shapes.set("layers.1.q_proj.weight", [96, 97]);
    await refused(
      new AdapterPool({ budgetBytes: MIB, base: shapes }).add("n", files.get("a")!),
      "BASE_SHAPE",
    );
    shapes.delete("layers.1.q_proj.weight");
    await refused(
      new AdapterPool({ budgetBytes: MIB, base: shapes }).add("n", files.get("a")!),
      "BASE_MODULE_MISSING",
    );
  });

  it("gives errors for activations of another shape, and nothing else changes", async () => {
    const pool = new AdapterPool({ budgetBytes: MIB, store: memoryStore(files) });
    const lease = await pool.acquire("a");
    refusedNow(() => lease.apply(LAYER, new Float32Array(95), new Float32Array(96)), "ACTIVATION_SHAPE");
    lease.release();
    expect(await outcome(pool, "a")).toEqual(expected(0));
    expect(() => new AdapterPool({ budgetBytes: 0 })).toThrow(RangeError);
  });
});
