/** Memory that goes from one adapter to the next: never while somebody may use it, and never after a failed read. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { memorySource } from "../../src/core/index.ts";
import { directoryStore } from "../../src/node/index.ts";
import {
  AdapterPool,
  type AdapterStore,
  applyPacked,
  type PoolOptions,
  type ResidentModule,
  residentModule,
} from "../../src/serve/index.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { factorsOf, fileOf, Random, shapeOfModule } from "./modules.ts";

const [COUNT, LENGTH, RANK] = [6, 256, 64];
const NAME = "layers.0.q_proj";
const OTHER = "layers.1.q_proj";
const names = Array.from({ length: COUNT }, (_, i) => `adapter-${i}`);
/** Above 64 KiB: smaller adapters are read together with the index. */
const modules = names.map((_, i): ResidentModule => {
  const raw = { codec: "raw", element: "f32" } as const;
  const shape = shapeOfModule(LENGTH, LENGTH, RANK);
  const bands = [{ components: RANK, b: raw, a: raw }];
  return residentModule(shape, factorsOf(new Random(50 + i), shape, bands));
});
const files = await Promise.all(modules.map((module) => fileOf([module])));
const x = new Random(3).floats(LENGTH);
const expected = modules.map((module) => {
  const y = new Float32Array(LENGTH);
  applyPacked(module, x, y);
  return y;
});

/** A store that reads into given memory, and notes that memory. Reads of `failing` fail, and write to it afterwards. */
function store(failing?: string): AdapterStore & { readonly given: ArrayBufferLike[]; late(): void } {
  const given: ArrayBufferLike[] = [];
  const spoilt: Uint8Array[] = [];
  return {
    given,
    late: () => {
      for (const target of spoilt) target.fill(0x55);
    },
    async open(name) {
      const source = memorySource(files[names.indexOf(name)]!);
      return {
        source: {
          ...source,
          async readInto(target, offset) {
            given.push(target.buffer);
            const bytes = await source.read(offset, target.length);
            target.set(bytes);
            if (name !== failing) return bytes.length;
            spoilt.push(target);
            throw new Error("the disk is gone");
          },
        },
      };
    },
  };
}

/** Spare buffers take a sixteenth of a budget: this one has room for the memory of one more adapter. */
const room: PoolOptions = { budgetBytes: 17 * modules[0]!.payload.length, verify: false };

async function outcome(pool: AdapterPool, name: string): Promise<Float32Array> {
  const lease = await pool.acquire(name);
  const y = new Float32Array(LENGTH);
  expect(lease.apply(NAME, x, y)).toBe(true);
  lease.release();
  return y;
}

describe("memory of adapters that have left", () => {
  it("is read into again, and every adapter keeps its own weights", async () => {
    const own = store();
    const pool = new AdapterPool({ ...room, store: own });
    const random = new Random(9);
    for (let i = 0; i < 100; i++) {
      const k = random.below(COUNT);
      expect(await outcome(pool, names[k]!)).toEqual(expected[k]);
      if (i % 3 === 0) pool.remove(names[k]!);
    }
    expect(own.given.length).toBeGreaterThan(30);
    expect(new Set(own.given).size).toBeLessThan(own.given.length / 2);
  });

  it.each([true, false])("never mixes the weights of files (verify %s)", async (verify) => {
    const folder = temporaryDirectory();
    for (const [i, name] of names.entries()) writeFileSync(join(folder, `${name}.lqa`), files[i]!);
    const pool = new AdapterPool({ ...room, store: directoryStore(folder), verify });
    const random = new Random(4);
    for (let i = 0; i < 60; i++) {
      const k = random.below(COUNT);
      expect(await outcome(pool, names[k]!)).toEqual(expected[k]);
      if (i % 2 === 0) pool.remove(names[k]!);
    }
  });

  it("is not, if somebody got a view of it", async () => {
    const pool = new AdapterPool({ ...room, store: store() });
    const lease = await pool.acquire(names[0]!);
    const kept = lease.packed(NAME)!;
    lease.release();
    pool.remove(names[0]!);
    for (let k = 1; k < COUNT; k++) {
      expect(await outcome(pool, names[k]!)).toEqual(expected[k]);
      pool.remove(names[k]!);
    }
    const y = new Float32Array(LENGTH);
    applyPacked(kept, x, y);
    expect(y).toEqual(expected[0]);
  });

  it("is not, after a read that failed, which may still go on", async () => {
    const own = store(names[1]);
    const pool = new AdapterPool({ ...room, store: own });
    expect(await outcome(pool, names[0]!)).toEqual(expected[0]);
    pool.remove(names[0]!);
    await expect(pool.acquire(names[1]!)).rejects.toThrow("IO");
    const leases = await Promise.all([2, 3, 4].map((k) => pool.acquire(names[k]!)));
    own.late();
    for (const [i, lease] of leases.entries()) {
      const y = new Float32Array(LENGTH);
      lease.apply(NAME, x, y);
      expect(y).toEqual(expected[i + 2]);
    }
    expect(own.given[1]).toBe(own.given[0]);
    expect(own.given.slice(2)).not.toContain(own.given[1]);
  });

  it("is not, if the source made it, which may use it itself", async () => {
    const cache = new Map<string, Uint8Array>();
    const inner = store();
    const own: AdapterStore = {
      async open(name) {
        const bytes = files[names.indexOf(name)]!;
        if (names.indexOf(name) % 2 === 1) return inner.open(name);
        return {
          source: {
            ...memorySource(bytes),
            fresh: true,
            async read(offset, length) {
              const key = `${name} ${offset} ${length}`;
              const read = bytes.slice(offset, offset + length);
              cache.set(key, read);
              return read;
            },
          },
        };
      },
    };
    const pool = new AdapterPool({ ...room, store: own });
    for (const [k, name] of names.entries()) {
      expect(await outcome(pool, name)).toEqual(expected[k]);
      pool.remove(name);
    }
    for (const [key, bytes] of cache) {
      const [name, offset, length] = key.split(" ");
      const file = files[names.indexOf(name!)]!;
      // Printing the difference of so many bytes would take minutes.
      expect(Buffer.compare(bytes, file.slice(Number(offset), Number(offset) + Number(length)))).toBe(0);
    }
  });

  it("is not written to by a load in the background that goes on", async () => {
    const two = await Promise.all(
      modules.map((module) => fileOf([module, { ...module, shape: { ...module.shape, name: OTHER } }])),
    );
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    let reads = 0;
    const own: AdapterStore = {
      async open(name) {
        const source = memorySource(two[names.indexOf(name)]!);
        return {
          source: {
            ...source,
            async read(offset, length) {
              const slow = name === names[0] && offset > 0 && ++reads > 1;
              if (slow) await gate;
              return source.read(offset, length);
            },
          },
        };
      },
    };
    const pool = new AdapterPool({ ...room, store: own });
    // Its second module comes in the background, into memory that the next adapter gets.
    (await pool.acquire(names[0]!, { modules: [NAME] })).release();
    while (reads < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    pool.remove(names[0]!);
    const lease = await pool.acquire(names[1]!, { modules: [NAME] });
    open();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const y = new Float32Array(LENGTH);
    lease.apply(NAME, x, y);
    expect(y).toEqual(expected[1]);
  });

  it("is not, if threads share it", async () => {
    const own = store();
    const pool = new AdapterPool({ ...room, store: own, shared: true });
    for (const [k, name] of names.entries()) expect(await outcome(pool, name)).toEqual(expected[k]);
    expect(own.given).toEqual([]);
  });
});
