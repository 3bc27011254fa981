/** Children in memory, packed: applied, and pools that keep their parent once. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { inputLength, open } from "../../src/core/index.ts";
import { AdapterPool, applyPacked, memoryStore, residentModule } from "../../src/serve/index.ts";
import { waves } from "../serve/modules.ts";
import { trained } from "../start/trained.ts";
import { eachKind, relatives, suite } from "./children.ts";
import { contentIdOf } from "./family.ts";

const files = await relatives();
const { family, parent, children, grandchild, started, startedChild } = files;
const parentId = await contentIdOf(parent);

describe("a module with a parent, applied packed", () => {
  it.each(eachKind(files))("gives the product with its weights: %s", async (_, bytes, parents) => {
    const file = await open(bytes, { parents });
    expect(file.parentId).toBeDefined();
    for (const record of file.modules) {
      if (record.role === "embedding") continue;
      const module = residentModule(record, await file.packed(record));
      const n = inputLength(record);
      const { a, b } = await file.decode(record, { layout: "component" });
      const [x, y] = [waves(n), new Float32Array(record.out)];
      applyPacked(module, x, y, { expert: 0 });
      const exact = new Float64Array(record.out);
      for (let c = 0; c < record.rank; c++) {
        const h = x.reduce((sum, value, i) => sum + value * a.data[c * n + i]!, 0);
        for (let o = 0; o < record.out; o++) exact[o]! += record.multiplier * h * b.data[c * record.out + o]!;
      }
      const size = Math.hypot(...exact);
      expect(size).toBeGreaterThan(0);
      expect(Math.hypot(...exact.map((value, o) => value - y[o]!)) / size).toBeLessThan(1e-5);
    }
  });

  it("is refused without its parent, and with one of another shape", async () => {
    const file = await open(children[0]!);
    const [record] = file.modules;
    const alone = await file.packed(record!);
    expect(() => residentModule(record!, alone)).toThrow(expect.objectContaining({ kind: "PARENT_MISSING" }));
    const whole = await open(children[0]!, { parents: [parent] });
    const module = residentModule(record!, await whole.packed(record!));
    const other = { ...module, parent: { ...module.parent!, shape: { ...module.parent!.shape, out: 95 } } };
    expect(() => applyPacked(other, waves(record!.in), new Float32Array(record!.out))).toThrow(RangeError);
  });
});

describe("a pool", () => {
  const budgetBytes = 2 ** 24;
  const stored = new Map([
    ["base", parent],
    ["other", family[0]!],
    ...children.map((bytes, i): [string, Uint8Array] => [`user-${i}`, bytes]),
    ["grandchild", grandchild],
  ]);
  const store = memoryStore(stored);

  it("keeps a parent once for all of its children, and lets it go with the last", async () => {
    const pool = new AdapterPool({ budgetBytes, store, parents: ["other", "base"] });
    const leases = [await pool.acquire("user-0")];
    const one = pool.statistics.packedBytes;
    leases.push(await pool.acquire("user-1"), await pool.acquire("user-2"));
    const { packedBytes, contents, leases: held } = pool.statistics;
    expect(contents).toBe(4);
    expect(held).toBe(3);
    const [first, second] = leases.map((lease) => lease.packed("layers.0.proj")!);
    expect(first!.parent!.payload.buffer).toBe(second!.parent!.payload.buffer);
    expect(packedBytes - one).toBeLessThan(one);
    for (const lease of leases) lease.release();
    pool.clear();
    expect(pool.statistics).toMatchObject({ usedBytes: 0, contents: 0 });
  });

  it("shares it with the adapter itself, whichever comes first", async () => {
    const pool = new AdapterPool({ budgetBytes, parents: [] });
    await pool.add("base", parent);
    await pool.add("user", children[0]!);
    const [own, child] = [await pool.acquire("base"), await pool.acquire("user")];
    const [shared, whole] = [child.packed("layers.1.proj")!.parent!, own.packed("layers.1.proj")!];
    expect(shared.payload.buffer).toBe(whole.payload.buffer);
    expect(pool.statistics.contents).toBe(2);
    own.release();
    pool.remove("base");
    expect(pool.statistics.contents).toBe(2);
    expect(child.apply("layers.1.proj", waves(96), new Float32Array(64))).toBe(true);
    child.release();
    pool.remove("user");
    expect(pool.statistics).toMatchObject({ usedBytes: 0, contents: 0 });
  });

  it.each([true, false])(
    "gives what a module of its own gives, decoded factors too (verify: %s)",
    async (verify) => {
      const pool = new AdapterPool({ budgetBytes, store, verify, parents: ["base", "user-0"] });
      const lease = await pool.acquire("grandchild");
      const file = await open(grandchild, { parents: [parent, children[0]!] });
      for (const record of file.modules) {
        const [x, y, expected] = [
          waves(record.in),
          new Float32Array(record.out),
          new Float32Array(record.out),
        ];
        expect(lease.apply(record.name, x, y)).toBe(true);
        applyPacked(residentModule(record, await file.packed(record)), x, expected);
        expect(y).toEqual(expected);
        expect(lease.decode(record.name)!.a.data).toEqual((await file.decode(record)).a.data);
      }
      expect(pool.statistics.contents).toBe(3);
      lease.release();
    },
  );

  it("loads a parent once for children that come at the same time", async () => {
    const opened: string[] = [];
    const counting = {
      open: (name: string, signal?: AbortSignal) => {
        opened.push(name);
        return store.open(name, signal);
      },
    };
    const pool = new AdapterPool({ budgetBytes, store: counting, parents: ["base"], concurrentLoads: 1 });
    const { leases, failures } = await pool.acquireAll(["user-0", "user-1", "user-2"]);
    expect(failures.size).toBe(0);
    expect(opened.filter((name) => name === "base").length).toBe(1);
    for (const lease of leases.values()) lease.release();
  });

  it("keeps random numbers of a parent as long as its children are leased", async () => {
    const pool = new AdapterPool({ budgetBytes });
    await pool.add("base", started);
    await pool.add("user", startedChild);
    expect(pool.statistics.startBytes).toBe(0);
    const lease = await pool.acquire("user");
    expect(pool.statistics.startBytes).toBe(trained(0).modules.reduce((sum, { a }) => sum + 2 * a.length, 0));
    lease.release();
    pool.clear();
    expect(pool.statistics.usedBytes).toBe(0);
  });

  it("says which parent a child lacks, and fetches nothing that was not named", async () => {
    const pool = new AdapterPool({ budgetBytes, store });
    await expect(pool.acquire("user-0")).rejects.toMatchObject({
      kind: "PARENT_MISSING",
      expected: expect.stringContaining(parentId),
      advice: expect.stringContaining("`parents`"),
    });
    expect(pool.statistics).toMatchObject({ usedBytes: 0, contents: 0, loadFailures: 1 });
  });

  it("does not take a parent that says that it is the one and is not", async () => {
    // The stored content id is in the trailer, and its own checksums do not cover what it is of.
    const broken = parent.slice();
    broken[Math.floor(broken.length / 2)]! ^= 1;
    const lying = memoryStore(new Map([...stored, ["base", broken]]));
    for (const verify of [true, false]) {
      const pool = new AdapterPool({ budgetBytes, store: lying, verify, parents: ["base"] });
      await expect(pool.acquire("user-0")).rejects.toMatchObject({ kind: "PARENT_MISSING" });
      expect(pool.statistics).toMatchObject({ usedBytes: 0, contents: 0 });
    }
  });

  it("passes over entries that lie about their content id, or are broken, and refuses infinite sums", async () => {
    const bytesOf = (path: string) =>
      new Uint8Array(readFileSync(new URL(`../../conformance/suite/${path}.lqa`, import.meta.url)));
    const pool = new AdapterPool({
      budgetBytes,
      parents: ["liar", "cut", "root"],
      store: memoryStore(
        new Map([
          ["liar", bytesOf("invalid/parent/false-content-id")],
          ["cut", bytesOf("invalid/prologue/cut-after-32")],
          ["root", suite("root")],
          ["child", suite("child")],
          ["root-huge", suite("root-huge")],
          ["infinite", bytesOf("invalid/parent/infinite-in-a")],
        ]),
      ),
    });
    const lease = await pool.acquire("child");
    expect([...lease.modules]).toHaveLength(1);
    lease.release();
    const huge = await pool.acquire("root-huge");
    await expect(pool.acquire("infinite")).rejects.toThrow("NONFINITE_VALUE");
    huge.release();
  });

  it("evicts children before their parent", async () => {
    const whole = new AdapterPool({ budgetBytes, store, parents: ["base"] });
    (await whole.acquire("user-0")).release();
    const { usedBytes } = whole.statistics;
    const pool = new AdapterPool({ budgetBytes: usedBytes + 600, store, parents: ["base"] });
    for (const name of ["user-0", "user-1", "user-2", "user-0"]) {
      const lease = await pool.acquire(name);
      expect(lease.packed("layers.0.proj")!.parent).toBeDefined();
      lease.release();
    }
    expect(pool.statistics.evictions).toBeGreaterThan(0);
    expect(pool.statistics.usedBytes).toBeLessThanOrEqual(pool.statistics.budgetBytes);
  });

  it("evicts a parent with its last child where one adapter needs the room of both", async () => {
    const whole = new AdapterPool({ budgetBytes, store, parents: ["base"] });
    (await whole.acquire("user-0")).release();
    const pool = new AdapterPool({ budgetBytes: whole.statistics.usedBytes, store, parents: ["base"] });
    (await pool.acquire("user-0")).release();
    (await pool.acquire("other")).release();
    expect(pool.statistics).toMatchObject({ evictions: 2, contents: 1 });
    (await pool.acquire("user-0")).release();
    pool.clear();
    expect(pool.statistics).toMatchObject({ usedBytes: 0, contents: 0 });
  });

  it("evicts a child of a child, and all that it needs, where one adapter needs the room", async () => {
    const options = { store, parents: ["base", "user-0"] };
    const whole = new AdapterPool({ budgetBytes, ...options });
    (await whole.acquire("grandchild")).release();
    expect(whole.statistics.contents).toBe(3);
    const pool = new AdapterPool({ budgetBytes: whole.statistics.usedBytes, ...options });
    (await pool.acquire("grandchild")).release();
    (await pool.acquire("other")).release();
    expect(pool.statistics).toMatchObject({ evictions: 3, contents: 1 });
  });

  it("counts a parent without a name once where it leaves with its last child", async () => {
    const whole = new AdapterPool({ budgetBytes, store, parents: ["base"] });
    (await whole.acquire("user-0")).release();
    const pool = new AdapterPool({ budgetBytes: whole.statistics.usedBytes, store, parents: ["base"] });
    await pool.add("mine", parent);
    (await pool.acquire("user-0")).release();
    pool.remove("mine");
    (await pool.acquire("other")).release();
    expect(pool.statistics.contents).toBe(1);
    pool.clear();
    expect(pool.statistics).toMatchObject({ usedBytes: 0, contents: 0 });
  });
});
