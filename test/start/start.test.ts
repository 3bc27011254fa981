/** Starts (spec 8.8): what the encoder does with a known start, what readers make of it, and files that lie about one. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { decodeModule, type LqaFile, open, validate } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { RANK, SEED, trained, untouched } from "./trained.ts";

/** All factors of a file. */
async function factors(file: LqaFile, type: "f32" | "f16" = "f32"): Promise<unknown[]> {
  const found = [];
  for await (const { name, b, a } of file.decodeAll({ type })) found.push([name, [...b.data], [...a.data]]);
  return found;
}

const goal = { maxError: 0.02, start: "auto" } as const;
const encoded = await encodeAdapter(trained(0.05), goal);

describe("an adapter whose start is found", () => {
  it("takes fewer bytes at the same error, and says the error that a decoder makes", async () => {
    const without = await encodeAdapter(trained(0.05), { ...goal, start: "none" });
    expect(encoded.report.relativeError).toBeLessThanOrEqual(0.02);
    // What was learned has more bits than the squared error alone would give it.
    expect(encoded.bytes.length).toBeLessThan(0.7 * without.bytes.length);
    const saved = { bytes: without.bytes.length - encoded.bytes.length };
    expect(encoded.report.start).toMatchObject({ seed: SEED, saved });
    const adapter = await (await open(encoded.bytes)).adapter();
    let [lost, energy] = [0, 0];
    for (const [i, { a, b, out, in: n }] of trained(0.05).modules.entries()) {
      const own = adapter.modules[i]!;
      for (let o = 0; o < out; o++)
        for (let j = 0; j < n; j++) {
          let [x, y] = [0, 0];
          for (let c = 0; c < RANK; c++) {
            x += b[o * RANK + c]! * a[c * n + j]!;
            y += own.b[o * RANK + c]! * own.a[c * n + j]!;
          }
          lost += (x - y) * (x - y);
          energy += x * x;
        }
    }
    expect(lost / energy).toBeCloseTo(encoded.report.relativeError, 8);
  });

  it("has a start unless the goal is an error, or there is a parent: then only if the caller asks for one", async () => {
    const started = ({ bytes }: { bytes: Uint8Array }): boolean => (bytes[12]! & 32) !== 0;
    const adapter = trained(0.05);
    const usual = await encodeAdapter(adapter, { bits: 2 });
    expect(started(usual)).toBe(true);
    expect(usual.bytes).toEqual((await encodeAdapter(adapter, { bits: 2, start: "auto" })).bytes);
    expect(started(await encodeAdapter(adapter, { bits: 2, start: "none" }))).toBe(false);
    expect(started(await encodeAdapter(adapter, { maxError: 0.02 }))).toBe(false);
    expect(started(await encodeAdapter(adapter, { bits: 2, parent: await open(usual.bytes) }))).toBe(false);
  });

  it("is found by its seed alone, and not by another seed", async () => {
    expect((await encodeAdapter(trained(0.05), { ...goal, start: SEED })).bytes).toEqual(encoded.bytes);
    const none = await encodeAdapter(trained(0.05), { ...goal, start: "none" });
    expect((await encodeAdapter(trained(0.05), { ...goal, start: 43 })).bytes).toEqual(none.bytes);
    await expect(encodeAdapter(trained(0.05), { ...goal, start: 0.5 })).rejects.toThrow("USAGE");
  }, 120_000);

  it("reports how much less error it makes in the same size", async () => {
    const { report } = await encodeAdapter(trained(0.05), { bits: 2, start: "auto" });
    expect(report.start).toMatchObject({ seed: SEED, saved: { error: expect.any(Number) } });
    const { error } = report.start!.saved as { error: number };
    expect(error).toBeGreaterThan(0.2);
    expect(error).toBeLessThan(1);
  });

  it("is not looked for where every B is zero: nothing was trained", async () => {
    const adapter = trained(0.05);
    const untrained = adapter.modules.map((module) => ({ ...module, b: module.b.map(() => 0) }));
    const { report, bytes } = await encodeAdapter({ ...adapter, modules: untrained }, goal);
    expect(report.start).toBeUndefined();
    const none = await encodeAdapter({ ...adapter, modules: untrained }, { ...goal, start: "none" });
    expect(bytes).toEqual(none.bytes);
  });

  it("that moved too far is encoded as without", async () => {
    const auto = await encodeAdapter(trained(40), goal);
    expect(auto.bytes).toEqual((await encodeAdapter(trained(40), { ...goal, start: "none" })).bytes);
  });

  it("is used by the modules that moved little, if they are at least half of all", async () => {
    const [near, far] = [trained(0.05).modules, trained(0.6).modules];
    const mixed = (count: number) => ({
      ...trained(0.05),
      modules: near.map((module, i) => (i < count ? module : far[i]!)),
    });
    expect((await encodeAdapter(mixed(2), { bits: 4 })).report.start?.modules).toBe(2);
    expect((await encodeAdapter(mixed(1), { bits: 4 })).report.start).toBeUndefined();
  });

  it("leaves out the start of a module that takes more operations for its bytes than readers accept", async () => {
    const long = untouched({ out: 4, in: 2 ** 18 });
    for (const rest of [[], trained(0.05).modules]) {
      const { bytes, report } = await encodeAdapter(
        { modules: [...rest, long], tensors: [], origin: undefined, meta: {} },
        { maxError: 0.02, start: SEED },
      );
      expect((await validate(bytes)).error).toBeUndefined();
      expect(report.start?.modules ?? 0).toBe(rest.length);
    }
  }, 120_000);

  it("is valid and canonical, and needs the feature", async () => {
    const { error } = await validate(encoded.bytes, { level: "canonical" });
    expect(error).toBeUndefined();
    expect([...encoded.bytes.subarray(8, 12)]).toEqual([1, 0, 0, 0]);
    expect(encoded.bytes[12]! & 32).toBe(32);
  });

  it("decodes to the same bits in whole, by ranges, and as a stream", async () => {
    const whole = await factors(await open(encoded.bytes));
    const source = {
      byteLength: encoded.bytes.length,
      slice: (start: number, end: number) => Promise.resolve(encoded.bytes.slice(start, end)),
    };
    expect(await factors(await open(source as never))).toEqual(whole);
    const events = [];
    for await (const event of (await open(new Blob([encoded.bytes as BlobPart]))).events())
      if (event.type === "module") {
        const { b, a } = event.decode();
        events.push([event.record.name, [...b.data], [...a.data]]);
      }
    expect(events).toEqual(whole);
  });

  it("is not decoded without its start: the rests alone would be other weights", async () => {
    const file = await open(encoded.bytes);
    const [record] = file.modules;
    const { start: _, ...factors } = await file.packed(record!);
    expect(() => decodeModule(record!, factors)).toThrow(RangeError);
  });

  it("is decoded on the threads that have opened such a file, and refused on others", async () => {
    const file = await open(encoded.bytes);
    const [record] = file.modules;
    const library = new URL("../../dist/core/index.js", import.meta.url).href;
    const program = `
      import { parentPort, workerData } from "node:worker_threads";
      import { decodeModule, open } from ${JSON.stringify(library)};
      const attempt = () => {
        try {
          return decodeModule(workerData.record, workerData.factors).a.data;
        } catch (error) {
          return error.kind;
        }
      };
      const first = attempt();
      await open(workerData.bytes);
      parentPort.postMessage([first, attempt()]);`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`), {
      workerData: { record, factors: await file.packed(record!), bytes: encoded.bytes },
    });
    const [answers] = await once(worker, "message");
    expect(answers).toEqual(["USAGE", (await file.decode(record!)).a.data]);
  });

  it("decodes to binary16 by rounding once", async () => {
    const file = await open(encoded.bytes);
    for (const record of file.modules) {
      const [wide, half] = [await file.decode(record), await file.decode(record, { type: "f16" })];
      const rounded = await encodeAdapter(
        {
          modules: [{ ...record, b: wide.b.data, a: wide.a.data }],
          tensors: [],
          origin: undefined,
          meta: {},
        },
        { profile: "raw", element: "f16" },
      );
      const other = await open(rounded.bytes);
      const expected = await other.decode(other.modules[0]!, { type: "f16" });
      expect([...half.a.data]).toEqual([...expected.a.data]);
    }
  });
});
