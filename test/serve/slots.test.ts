import { describe, expect, it } from "vitest";
import { memorySource } from "../../src/core/index.ts";
import { AdapterPool, type AdapterStore } from "../../src/serve/index.ts";
import { anyAdapter, fileOf } from "./modules.ts";

const adapter = anyAdapter(40);
const file = await fileOf(adapter);
const LAYERS = adapter.map(({ shape }) => shape.name);
const pause = () => new Promise((resolve) => setTimeout(resolve, 0));

/** A store of one adapter by any name; what it has open. Names with "broken" fail at their last module. */
function counting(): AdapterStore & { open_: number; most: number } {
  const counts = {
    open_: 0,
    most: 0,
    async open(name: string) {
      counts.most = Math.max(counts.most, ++counts.open_);
      await pause();
      const bytes = file.slice();
      if (name.startsWith("broken")) bytes[bytes.length - 200]! ^= 1;
      const source = memorySource(bytes);
      return {
        source: {
          size: source.size,
          // By spans the whole adapter would be read, and fail, at once.
          stable: true,
          read: async (offset: number, length: number, signal?: AbortSignal) => {
            await pause();
            return source.read(offset, length, signal);
          },
        },
        async close() {
          counts.open_--;
        },
      };
    },
  };
  return counts;
}

const NAMES = Array.from({ length: 60 }, (_, i) => `adapter-${i}`);
const budgetBytes = 2 ** 28;

describe("loads of a pool", () => {
  it.each([{ verify: true }, { verify: false }, { verify: false, trustStoredIds: true }])(
    "are limited in number, and no file stays open (%j)",
    async (how) => {
      const store = counting();
      const pool = new AdapterPool({ budgetBytes, store, concurrentLoads: 3, ...how });
      const { leases, failures } = await pool.acquireAll(NAMES, { modules: [LAYERS[0]!] });
      expect([leases.size, failures.size]).toEqual([NAMES.length, 0]);
      expect(store.most).toBe(3);
      for (const lease of leases.values()) lease.release();
      await expect.poll(() => store.open_, { timeout: 20_000 }).toBe(0);
    },
  );

  it("go on when some fail in the background, and when modules are never asked for", async () => {
    const store = counting();
    const pool = new AdapterPool({ budgetBytes, store, concurrentLoads: 2, verify: false });
    for (let i = 0; i < 5; i++) (await pool.acquire(`broken-${i}`, { modules: [LAYERS[0]!] })).release();
    const failures = await Promise.all(
      [5, 6, 7].map((i) => pool.acquire(`broken-${i}`).catch((error) => error.kind)),
    );
    expect(failures).toEqual(["CHUNK_CRC", "CHUNK_CRC", "CHUNK_CRC"]);
    (await pool.acquire("adapter-0")).release();

    const lazily = new AdapterPool({
      budgetBytes,
      store,
      concurrentLoads: 2,
      verify: false,
      completeInBackground: false,
    });
    for (const name of NAMES.slice(0, 5)) (await lazily.acquire(name, { modules: [LAYERS[0]!] })).release();
    for (const name of NAMES.slice(5, 10)) await lazily.add(name, memorySource(file));
    (await lazily.acquire(NAMES[5]!)).release();
    pool.clear();
    lazily.clear();
    expect([pool.statistics.usedBytes, lazily.statistics.usedBytes]).toEqual([0, 0]);
    await expect.poll(() => store.open_, { timeout: 20_000 }).toBe(0);
  });

  it("are waited for until somebody gives up", async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const inner = counting();
    const store: AdapterStore = {
      async open(name, signal) {
        if (name === "slow") await gate;
        return inner.open(name, signal);
      },
    };
    const pool = new AdapterPool({ budgetBytes, store, concurrentLoads: 1 });
    const slow = pool.acquire("slow");
    const control = new AbortController();
    const waiting = pool.acquire("other", { signal: control.signal });
    setTimeout(() => control.abort(), 1);
    await expect(waiting).rejects.toThrow("ABORTED");
    open();
    (await slow).release();
    (await pool.acquire("other")).release();
  });

  it("are at least one at a time", () => {
    for (const concurrentLoads of [0, -1, 1.5, Number.NaN])
      expect(() => new AdapterPool({ budgetBytes, concurrentLoads })).toThrow(RangeError);
  });
});
