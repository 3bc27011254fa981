/** Every method on one adapter: figures that are those of the encoder, rows that say what cannot be, nothing kept. */

import { describe, expect, it } from "vitest";
import type { Adapter } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { compareAdapter, comparisonCurve } from "../../src/report/index.ts";
import { makeModule } from "../quantize/modules.ts";

const adapterOf = (over: Partial<Adapter> = {}): Adapter => ({
  modules: [1, 2, 3].map((seed) => {
    const module = makeModule({ out: 320, in: 256, rank: 6 }, seed);
    // Components that fall off, as trained ones do.
    return { ...module, name: `layers.${seed}`, b: module.b.map((x, i) => x * 0.6 ** (i % 6)) };
  }),
  tensors: [],
  origin: undefined,
  meta: {},
  ...over,
});

const adapter = adapterOf();
const parameters = 3 * 6 * 576;

describe("comparing", () => {
  it("has a row for each method, with the figures of the encoder and the bound at its bits on disk", async () => {
    const comparison = await compareAdapter(adapter, { bits: [2, 1.25, 2], floor: 0.5 });
    expect(comparison).toMatchObject({ parameters, floor: 0.5 });
    expect(comparison.rows.map(({ method }) => method)).toEqual(
      "sign,rtn 1,rtn 2,rtn 3,rtn 4,rd 1.25,rd 2".split(","),
    );
    for (const { settings, measured, leastBits } of comparison.rows) {
      expect(leastBits).toBeUndefined();
      const { report } = await encodeAdapter(adapter, settings);
      expect(measured).toMatchObject({
        averageBits: report.averageBits,
        bitsPerParameter: report.bitsPerParameter,
        relativeError: report.relativeError,
        outputBytes: report.outputBytes,
      });
      expect(measured!.bound).toBeLessThan(measured!.relativeError);
      expect(measured!.aboveBoundDb).toBeCloseTo(
        10 * Math.log10(measured!.relativeError / measured!.bound),
        9,
      );
      expect(measured!.seconds).toBeGreaterThan(0);
    }
    const { match, bound } = comparison;
    const target = comparison.rows.find(({ method }) => method === "rtn 3")!.measured!;
    expect(match).toMatchObject({ method: "rtn 3", bits: target.bitsPerParameter });
    expect(match!.rdBits).toBeLessThan(match!.bits);
    expect(match!.rdRelativeError).toBeLessThanOrEqual(target.relativeError);
    // The bound starts at everything and falls.
    expect(bound[0]).toEqual({ bits: 0, relativeError: expect.closeTo(1, 9) });
    for (let i = 1; i < bound.length; i++)
      expect(bound[i]!.relativeError).toBeLessThanOrEqual(bound[i - 1]!.relativeError);

    const curve = comparisonCurve(comparison, "name");
    expect(curve.rd.map(({ bits }) => bits.toFixed(1))).toEqual(["1.2", "2.0"]);
    expect(curve.methods.map(({ label, family }) => `${family} ${label}`)).toEqual([
      "sign sign",
      ...[1, 2, 3, 4].map((bits) => `rtn ${bits}-bit RTN`),
    ]);
  });

  it("says of a goal below the floor what would do, plain tensors counted out", async () => {
    const tensor = {
      ...{ name: "head", role: "replace" as const, element: "U8" as const, shape: [999], axis: 0 },
      data: Uint8Array.from({ length: 999 }, (_, i) => (i * i) % 251),
    };
    const withTensor = adapterOf({ tensors: [tensor] });
    const { rows } = await compareAdapter(withTensor, { bits: [0.5, 1.5], floor: 1 });
    const [low, high] = rows.slice(-2);
    expect(low).toMatchObject({ method: "rd 0.5", measured: undefined, leastBits: expect.any(Number) });
    expect(high!.measured).toBeDefined();
    const least = low!.leastBits!;
    const { report } = await encodeAdapter(withTensor, { bits: least, floor: 1 });
    expect(report.bitsPerParameter).toBeLessThanOrEqual(least);
    await expect(encodeAdapter(withTensor, { bits: least - 0.03, floor: 1 })).rejects.toThrow(/this adapter/);
  });

  it("has rows without noise or distance for an untrained adapter", async () => {
    const [module] = adapter.modules;
    const untrained = adapterOf({ modules: [{ ...module!, b: new Float32Array(module!.b.length) }] });
    const { rows, match, bound } = await compareAdapter(untrained, { bits: [2] });
    for (const { measured } of rows)
      expect(measured).toMatchObject({ relativeError: 0, bound: 0, aboveBoundDb: undefined, averageBits: 0 });
    expect(match).toBeUndefined();
    expect(bound.every(({ relativeError }) => relativeError === 0)).toBe(true);
  });

  it("tells progress by method, and stops when asked to", async () => {
    const seen = new Set<string>();
    const controller = new AbortController();
    const work = compareAdapter(adapter, {
      signal: controller.signal,
      onProgress(done, total, name) {
        expect(done).toBeLessThanOrEqual(total);
        seen.add(name.replace(/: (coding )?layers\.\d$/, ""));
        if (name.startsWith("rtn 2")) controller.abort();
      },
    });
    await expect(work).rejects.toThrow(/LQA-X005 ABORTED/);
    expect([...seen]).toEqual(["bound", "sign", "rtn 1", "rtn 2"]);
  });

  it.each([
    [{ bits: [0] }, adapter, /USAGE.*bits/],
    [{ floor: 2 }, adapter, /USAGE.*floor/],
    [{}, adapterOf({ modules: [] }), /USAGE.*at least one module/],
    [
      {},
      adapterOf({ modules: [makeModule({ out: 4, in: 4, rank: 1 }, 1, { a: () => Number.NaN })] }),
      /SOURCE_NONFINITE/,
    ],
  ])("refuses %j before it computes", async (options, source, message) => {
    await expect(compareAdapter(source as Adapter, options)).rejects.toThrow(message);
  });
});
