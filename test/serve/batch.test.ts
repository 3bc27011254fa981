import { describe, expect, it } from "vitest";
import { isLqaError } from "../../src/core/index.ts";
import { type AdapterLease, AdapterPool, applyBatch, memoryStore } from "../../src/serve/index.ts";
import { numberToF16 } from "../helpers/floats.ts";
import { anyAdapter, fileOf, Random } from "./modules.ts";

const LAYER = "layers.1.q_proj";
const LENGTH = 640;
const NAMES = ["a", "b", "c", "d", "e"];
const files = new Map<string, Uint8Array>();
for (const [i, name] of NAMES.entries()) files.set(name, await fileOf(anyAdapter(40 + i, 2, LENGTH)));
files.set("twin of a", files.get("a")!);
files.set("other layers", await fileOf(anyAdapter(60, 1, LENGTH)));
files.set("other shape", await fileOf(anyAdapter(61, 2, 96)));
// Fits into twice as many rows.
files.set("half as wide", await fileOf(anyAdapter(62, 2, LENGTH / 2)));

const pool = new AdapterPool({ budgetBytes: 2 ** 24, store: memoryStore(files) });
const { leases, failures } = await pool.acquireAll([...files.keys(), "nobody", "a"]);

describe("a batch of many tenants", () => {
  it("has its leases, and an error for who is not there", () => {
    expect([...leases.keys()].sort()).toEqual([...files.keys()].sort());
    expect([...failures.keys()]).toEqual(["nobody"]);
    expect(isLqaError(failures.get("nobody"), "UNKNOWN_ADAPTER")).toBe(true);
    expect(pool.statistics.leases).toBe(files.size);
  });

  it("gives each tenant what it gets alone, for any mix of rows, to the last bit", () => {
    const random = new Random(1);
    const choice = [...NAMES, "twin of a", "other layers", undefined];
    for (let round = 0; round < 40; round++) {
      const rows = 1 + random.below(24);
      const mix = Array.from({ length: rows }, () => random.pick(choice));
      const x = random.floats(rows * LENGTH);
      const base = random.floats(rows * LENGTH);
      const half = round % 3 === 0;
      const copy = () => (half ? Uint16Array.from(base, numberToF16) : base.slice());
      const together = copy();
      const batchInvariant = round % 2 === 0;
      const options = { batchInvariant };
      const result = applyBatch(
        LAYER,
        mix.map((name) => (name === undefined ? undefined : leases.get(name))),
        x,
        together,
        options,
      );
      expect(result.failures).toEqual([]);
      const expected = copy();
      const changing = mix.map((name) => name !== undefined && name !== "other layers");
      expect(result.applied).toBe(changing.filter(Boolean).length);
      for (const name of new Set(mix)) {
        if (name === undefined) continue;
        const own = mix.flatMap((other, row) => (sameContent(other, name) ? [row] : []));
        // The rows of one content as a batch of their own, or, if that makes no difference, one by one.
        if (name === "twin of a" && mix.includes("a")) continue;
        const lease = leases.get(name)!;
        if (batchInvariant)
          for (const row of own) lease.apply(LAYER, x, expected, { ...options, rows: [row] });
        else lease.apply(LAYER, x, expected, { rows: own });
      }
      expect(together).toEqual(expected);
    }
  });

  it("goes through the weights of equal contents once", () => {
    const y = new Float32Array(3 * LENGTH);
    const mix = ["a", "twin of a", "a"].map((name) => leases.get(name));
    expect(applyBatch(LAYER, mix, new Float32Array(3 * LENGTH), y)).toMatchObject({ applied: 3, groups: 1 });
  });

  it("tells whose adapter does not fit, and does the others", async () => {
    const random = new Random(2);
    const x = random.floats(4 * LENGTH);
    const y = new Float32Array(4 * LENGTH);
    const released = await pool.acquire("b");
    released.release();
    for (const other of ["other shape", "half as wide"]) {
      const zeros = new Float32Array(2 * LENGTH);
      const result = applyBatch(LAYER, [undefined, leases.get(other)], random.floats(2 * LENGTH), zeros);
      expect(result).toMatchObject({
        applied: 0,
        failures: [{ rows: [1], error: { kind: "ACTIVATION_SHAPE" } }],
      });
      expect(zeros.every((value) => value === 0)).toBe(true);
    }
    const mix = [leases.get("a"), leases.get("other shape"), released, leases.get("c")];
    const { applied, failures } = applyBatch(LAYER, mix, x, y);
    expect(applied).toBe(2);
    expect(failures.map(({ rows, error }) => [rows, (error as { kind: string }).kind])).toEqual([
      [[1], "ACTIVATION_SHAPE"],
      [[2], "USAGE"],
    ]);
    expect(y.subarray(LENGTH, 3 * LENGTH).every((value) => value === 0)).toBe(true);
    const alone = new Float32Array(4 * LENGTH);
    leases.get("a")!.apply(LAYER, x, alone, { rows: [0] });
    leases.get("c")!.apply(LAYER, x, alone, { rows: [3] });
    expect(y).toEqual(alone);
  });

  it("refuses a batch that cannot be divided into rows, before anything is touched", () => {
    const mix: (AdapterLease | undefined)[] = [leases.get("a"), undefined];
    const y = new Float32Array(2 * LENGTH);
    for (const [x, to] of [
      [new Float32Array(2 * LENGTH + 1), y],
      [new Float32Array(2 * LENGTH), new Float32Array(2 * LENGTH + 1)],
    ] as const) {
      let error: unknown;
      try {
        applyBatch(LAYER, mix, x, to);
      } catch (caught) {
        error = caught;
      }
      expect(isLqaError(error, "ACTIVATION_SHAPE")).toBe(true);
    }
    expect(applyBatch(LAYER, [], new Float32Array(0), new Float32Array(0))).toMatchObject({
      applied: 0,
      groups: 0,
    });
  });
});

function sameContent(one: string | undefined, other: string): boolean {
  const plain = (name: string | undefined): string | undefined => (name === "twin of a" ? "a" : name);
  return plain(one) === plain(other);
}
