/** Files with a start in memory, packed: applied, and the random numbers that they share. */
import { describe, expect, it } from "vitest";
import { isLqaError, open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { AdapterPool, applyPacked, residentModule } from "../../src/serve/index.ts";
import { waves } from "../serve/modules.ts";
import { SEED, trained } from "./trained.ts";

const goal = { maxError: 0.02, start: SEED } as const;
const [young, older] = [await encodeAdapter(trained(0.02), goal), await encodeAdapter(trained(0.05), goal)];
const bytesOfDraws = trained(0).modules.reduce((sum, { a }) => sum + 2 * a.length, 0);

describe("a module with a start, applied packed", () => {
  it("gives the product with its decoded weights", async () => {
    const file = await open(older.bytes);
    for (const record of file.modules) {
      const module = residentModule(record, await file.packed(record));
      const { a, b } = await file.decode(record);
      const x = waves(record.in);
      const y = new Float32Array(record.out);
      applyPacked(module, x, y);
      const h = Array.from({ length: record.rank }, (_, k) =>
        x.reduce((sum, value, i) => sum + value * a.data[k * record.in + i]!, 0),
      );
      const exact = Array.from(y, (_, o) =>
        h.reduce((sum, value, k) => sum + record.multiplier * value * b.data[o * record.rank + k]!, 0),
      );
      const size = Math.hypot(...exact);
      expect(size).toBeGreaterThan(0);
      expect(Math.hypot(...exact.map((value, o) => value - y[o]!)) / size).toBeLessThan(1e-6);
    }
  });

  it("is refused without its draws, or with fewer", async () => {
    const file = await open(older.bytes);
    const record = file.modules[0]!;
    const module = residentModule(record, await file.packed(record));
    const [x, y] = [waves(record.in), new Float32Array(record.out)];
    const { start, ...without } = module;
    expect(() => applyPacked(without, x, y)).toThrow(RangeError);
    const fewer = { ...start!, draws: start!.draws.subarray(1) };
    expect(() => applyPacked({ ...module, start: fewer }, x, y)).toThrow(RangeError);
    expect(y.every((value) => value === 0)).toBe(true);
  });
});

describe("a pool", () => {
  it("keeps random numbers once for all adapters of one start", async () => {
    const pool = new AdapterPool({ budgetBytes: 2 ** 24 });
    await pool.add("young", young.bytes);
    await pool.add("older", older.bytes);
    expect(pool.statistics.startBytes).toBe(0);
    const leases = [await pool.acquire("young"), await pool.acquire("older")];
    const { startBytes, packedBytes, usedBytes } = pool.statistics;
    expect(startBytes).toBe(bytesOfDraws);
    expect(usedBytes).toBe(startBytes + packedBytes);
    for (const name of leases[0]!.modules) {
      const [one, other] = leases.map((lease) => lease.packed(name)!);
      expect(one!.start!.draws.buffer).toBe(other!.start!.draws.buffer);
      expect(one!.payload).not.toEqual(other!.payload);
    }
    for (const lease of leases) lease.release();
    pool.clear();
    expect(pool.statistics.usedBytes).toBe(0);
  });

  it("gives what a module of its own gives, decoded factors too", async () => {
    const pool = new AdapterPool({ budgetBytes: 2 ** 24 });
    await pool.add("older", older.bytes);
    const lease = await pool.acquire("older");
    const file = await open(older.bytes);
    for (const record of file.modules) {
      const [x, y, expected] = [waves(record.in), new Float32Array(record.out), new Float32Array(record.out)];
      expect(lease.apply(record.name, x, y)).toBe(true);
      applyPacked(residentModule(record, await file.packed(record)), x, expected);
      expect(y).toEqual(expected);
      expect(lease.decode(record.name)!.a.data).toEqual((await file.decode(record)).a.data);
    }
  });

  it("lets go of them when others need the room, and makes them again", async () => {
    const source = (bytes: Uint8Array) => async () => ({
      source: {
        byteLength: bytes.length,
        read: async (from: number, length: number) => bytes.slice(from, from + length),
      },
    });
    const plain = await encodeAdapter(trained(0.05), { profile: "raw", element: "f32" });
    const alone = new AdapterPool({ budgetBytes: 2 ** 24 });
    await alone.add("plain", plain.bytes);
    const room = alone.statistics.usedBytes;
    const pool = new AdapterPool({ budgetBytes: room + 1000 });
    await pool.add("older", source(older.bytes) as never);
    await pool.add("plain", source(plain.bytes) as never);
    const results = [];
    for (let turn = 0; turn < 3; turn++) {
      const lease = await pool.acquire("older");
      expect(pool.statistics.startBytes).toBe(bytesOfDraws);
      const y = new Float32Array(320);
      lease.apply("layers.0.q_proj", waves(256), y);
      results.push(y);
      lease.release();
      (await pool.acquire("plain")).release();
      expect(pool.statistics.startBytes).toBe(0);
      expect(pool.statistics.usedBytes).toBeLessThanOrEqual(room + 1000);
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it("says where they do not fit, and holds nothing then", async () => {
    const pool = new AdapterPool({ budgetBytes: 2 ** 24 });
    await pool.add("older", older.bytes);
    const small = new AdapterPool({ budgetBytes: pool.statistics.usedBytes + bytesOfDraws - 1 });
    await small.add("older", older.bytes);
    const error = await small.acquire("older").catch((caught: unknown) => caught);
    expect(isLqaError(error, "BUDGET")).toBe(true);
    expect(String(error)).toContain('the start of adapter "older"'.replaceAll("\\", ""));
    expect(small.statistics).toMatchObject({ leases: 0, startBytes: 0 });
  });

  it("has them where threads can see them if it is shared", async () => {
    const pool = new AdapterPool({ budgetBytes: 2 ** 24, shared: true });
    await pool.add("older", older.bytes);
    const { start } = (await pool.acquire("older")).packed("layers.0.q_proj")!;
    expect(start!.draws.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(structuredClone({ state: start!.start.state })).toEqual({ state: SEED });
  });
});
