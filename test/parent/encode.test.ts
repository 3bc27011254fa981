/** Encoding against a parent (spec 8.9): what it saves, when it is left out, and what comes back. */
import { describe, expect, it } from "vitest";
import { type Adapter, open, validate } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { diffAdapters } from "../../src/report/index.ts";
import { checkpoint, type Variation } from "./run.ts";

const parentBytes = (await encodeAdapter(checkpoint(0), { maxError: 0.002 })).bytes;
const parent = await open(parentBytes);

/** ΔW of all modules of an adapter, one behind the other. */
function deltas({ modules }: Adapter): Float64Array {
  const products = modules.map(({ rank, out, in: inputs, multiplier, b, a }) => {
    const delta = new Float64Array(out * inputs);
    for (let c = 0; c < rank; c++)
      for (let o = 0; o < out; o++)
        for (let i = 0; i < inputs; i++)
          delta[o * inputs + i]! += multiplier * b[o * rank + c]! * a[c * inputs + i]!;
    return delta;
  });
  return Float64Array.from(products.flatMap((delta) => [...delta]));
}

/** The error of a file against the adapter it was made from. */
async function errorOf(bytes: Uint8Array, source: Adapter): Promise<number> {
  const decoded = await (await open(bytes, { parents: [parentBytes] })).adapter();
  return diffAdapters(source, decoded).relativeError ?? 0;
}

describe("a child of a parent", () => {
  it("takes a fraction of the bytes, and keeps to the error that it reports", async () => {
    const child = checkpoint(4);
    const whole = await encodeAdapter(child, { maxError: 0.005 });
    const { bytes, report } = await encodeAdapter(child, { maxError: 0.005, parent });
    expect(bytes.length).toBeLessThan(0.5 * whole.bytes.length);
    expect(report.parent).toEqual({ contentId: (await parent.verify()).contentId, modules: 3 });
    expect(report.modules.map(({ fromParent }) => fromParent)).toEqual([true, true, true]);
    expect(report.relativeError).toBeLessThanOrEqual(0.005);
    expect(await errorOf(bytes, child)).toBeCloseTo(report.relativeError, 6);
    expect((await validate(bytes, { level: "canonical" })).error).toBeUndefined();
  });

  it("keeps what changed since the parent, even if that is less than the error", async () => {
    const child = checkpoint(4);
    const [now, before] = [deltas(child), deltas(checkpoint(0))];
    const dot = (x: Float64Array, y: Float64Array): number => x.reduce((sum, own, i) => sum + own * y[i]!, 0);
    const step = now.map((own, i) => own - before[i]!);
    const maxError = 1.5 * (dot(step, step) / dot(now, now));
    const { bytes } = await encodeAdapter(child, { maxError, parent });
    const decoded = deltas(await (await open(bytes, { parents: [parentBytes] })).adapter());
    const had = deltas(await parent.adapter());
    const kept = dot(
      decoded.map((own, i) => own - had[i]!),
      step,
    );
    // What is missing counts 32 times; what is stored has its length.
    expect(kept / dot(step, step)).toBeGreaterThan(0.6);
    expect(kept / dot(step, step)).toBeLessThan(1.1);
  });

  it("does not code what its parent lost", async () => {
    const same = checkpoint(0);
    const { report } = await encodeAdapter(same, { maxError: 0.01, parent });
    // 32 bits of a module name its parent.
    for (const [i, { rank, out, in: inputs }] of same.modules.entries())
      expect(report.modules[i]!.bitsPerParameter * rank * (out + inputs)).toBe(32);
    // The parent has more error than that.
    const finer = await encodeAdapter(same, { maxError: 0.0005, parent });
    expect(finer.report.relativeError).toBeLessThanOrEqual(0.0005);
  });

  it("is tried alone if it is clearly smaller than the first file of its chain", async () => {
    const analyzed = async (maxError: number): Promise<number> => {
      let count = 0;
      const onProgress = (_done: number, _total: number, name: string): void => {
        if (name.startsWith("analyzing")) count++;
      };
      await encodeAdapter(checkpoint(4), { maxError, parent, onProgress });
      return count;
    };
    expect(await analyzed(0.005)).toBe(3);
    // Close to the parent's own error, so that the file without a parent may be smaller.
    expect(await analyzed(0.0005)).toBe(6);
  });

  it("does not depend on the basis of its factors", async () => {
    const [one, other] = [false, true].map((turned) => checkpoint(4, { turned }));
    expect(diffAdapters(one!, other!).relativeError).toBeLessThan(1e-12);
    const sizes = [];
    for (const adapter of [one!, other!])
      sizes.push((await encodeAdapter(adapter, { maxError: 0.005, parent })).bytes.length);
    expect(Math.abs(sizes[1]! / sizes[0]! - 1)).toBeLessThan(0.05);
  });

  it.each<[string, Variation]>([
    ["a larger rank", { rank: 6 }],
    ["another multiplier, which its B has", { multiplier: 2.1 }],
  ])("may have %s", async (_, variation) => {
    const child = checkpoint(2, variation);
    const { bytes, report } = await encodeAdapter(child, { maxError: 0.01, parent });
    expect(report.parent?.modules).toBe(3);
    expect(await errorOf(bytes, child)).toBeCloseTo(report.relativeError, 6);
    const whole = await encodeAdapter(child, { maxError: 0.01 });
    expect(bytes.length).toBeLessThan(whole.bytes.length);
  });

  it("may have experts, each with its own basis", async () => {
    const [before, child] = [checkpoint(0, { experts: 3 }), checkpoint(4, { experts: 3, turned: true })];
    const file = await open((await encodeAdapter(before, { maxError: 0.002 })).bytes);
    const { bytes, report } = await encodeAdapter(child, { maxError: 0.005, parent: file });
    expect(report.parent?.modules).toBe(3);
    const decoded = await (await open(bytes, { parents: [file] })).adapter();
    expect(diffAdapters(child, decoded).relativeError).toBeCloseTo(report.relativeError, 6);
  });

  it("follows a calibration", async () => {
    const child = checkpoint(4);
    const moments = new Map(
      child.modules.map((m) => [m.name, Float64Array.from({ length: m.in }, (_, i) => 1 + (i % 7))]),
    );
    const calibration = { moments, source: new Uint8Array(1) };
    const { bytes, report } = await encodeAdapter(child, { maxError: 0.005, parent, calibration });
    expect(report.parent?.modules).toBe(3);
    expect(report.outputError).toBeLessThan(0.01);
    expect(await errorOf(bytes, child)).toBeCloseTo(report.relativeError, 6);
  });

  it("may have vectors that are linearly dependent", async () => {
    const modules = checkpoint(4, { rank: 5 }).modules.map((own) => ({
      ...own,
      b: own.b.map((value, i) => (i % 5 === 4 ? own.b[i - 2]! : value)),
    }));
    const child = { ...checkpoint(4), modules };
    const { bytes, report } = await encodeAdapter(child, { maxError: 0.005, parent });
    expect(report.modules.map(({ fromParent }) => fromParent)).toEqual([true, true, true]);
    expect(await errorOf(bytes, child)).toBeCloseTo(report.relativeError, 6);
  });

  it("may have directions that its parent left out, which count like others", async () => {
    const file = await open((await encodeAdapter(checkpoint(0, { rank: 8 }), { maxError: 0.1 })).bytes);
    const child = checkpoint(1, { rank: 8 });
    const whole = await encodeAdapter(child, { maxError: 0.02 });
    const own = await encodeAdapter(child, { maxError: 0.02, parent: file });
    expect(own.bytes.length).toBeLessThan(0.85 * whole.bytes.length);
  });

  it("is exact to single precision in its parent's basis", async () => {
    const child = checkpoint(4, { turned: true });
    const { report } = await encodeAdapter(child, { maxError: 1.2e-7, parent });
    expect(report.parent?.modules).toBe(3);
    expect(report.relativeError).toBeLessThanOrEqual(1.2e-7);
  });

  it("measures a module again only if its rates have changed", async () => {
    const measured: number[] = [];
    await encodeAdapter(checkpoint(4), {
      maxError: 0.0005,
      parent,
      onProgress: (done, total, name) => {
        if (name.startsWith("measuring") && done === 1) measured.push(total);
      },
    });
    expect(measured.length).toBeGreaterThan(2);
    expect(measured[0]).toBe(3);
    expect(measured.at(-1)).toBeLessThan(3);
  });

  it("may be a child of a child", async () => {
    const [second, third] = [checkpoint(2), checkpoint(4)];
    const middle = (await encodeAdapter(second, { maxError: 0.003, parent })).bytes;
    const { bytes, report } = await encodeAdapter(third, {
      maxError: 0.003,
      parent: await open(middle, { parents: [parentBytes] }),
    });
    const file = await open(bytes, { parents: [parentBytes, middle] });
    expect(file.parents.length).toBe(2);
    expect(diffAdapters(third, await file.adapter()).relativeError).toBeCloseTo(report.relativeError, 6);
  });

  it.each(["bits", "maxBytes"] as const)(
    "keeps to a goal in %s, with less error than without",
    async (goal) => {
      const child = checkpoint(4);
      const options = goal === "bits" ? { bits: 2 } : { maxBytes: 8000 };
      const [whole, own] = [
        await encodeAdapter(child, options),
        await encodeAdapter(child, { ...options, parent }),
      ];
      if (goal === "maxBytes") expect(own.bytes.length).toBeLessThanOrEqual(8000);
      else expect(own.report.bitsPerParameter).toBeLessThanOrEqual(2);
      expect(own.report.relativeError).toBeLessThan(0.5 * whole.report.relativeError);
    },
  );

  it("is the same file with workers' copies of its input", async () => {
    const clone = { ...checkpoint(4) };
    const options = { maxError: 0.005, parent } as const;
    const [one, other] = [await encodeAdapter(checkpoint(4), options), await encodeAdapter(clone, options)];
    expect(one.bytes).toEqual(other.bytes);
  });
});

describe("a parent that does not help", () => {
  it("is left out, and the file is the one without", async () => {
    const { modules } = checkpoint(0);
    // The same names and shapes, with other weights.
    const stranger: Adapter = {
      ...checkpoint(0),
      modules: modules.map((m) => ({ ...m, a: m.a.map((_, i) => Math.sin(i * i)) })),
    };
    const { bytes, report } = await encodeAdapter(stranger, { maxError: 0.02, parent });
    expect(report.parent).toBeUndefined();
    expect(bytes).toEqual((await encodeAdapter(stranger, { maxError: 0.02 })).bytes);
  });

  it("is left out of the modules that have moved too far", async () => {
    const [moved, ...others] = checkpoint(3).modules;
    const child = {
      ...checkpoint(3),
      modules: [{ ...moved!, a: moved!.a.map((_, i) => Math.sin(i * i)) }, ...others],
    };
    const { bytes, report } = await encodeAdapter(child, { maxError: 0.01, parent });
    expect(report.modules.map(({ fromParent }) => fromParent)).toEqual([false, true, true]);
    expect(report.parent?.modules).toBe(2);
    expect(await errorOf(bytes, child)).toBeCloseTo(report.relativeError, 6);
  });

  it("is left out if the error can be reached only without it", async () => {
    const coarse = await open((await encodeAdapter(checkpoint(0, { rank: 12 }), { maxError: 0.3 })).bytes);
    for (const step of [5, 10, 20]) {
      const child = checkpoint(step, { rank: 12 });
      const { report } = await encodeAdapter(child, { maxError: 0.02, parent: coarse });
      expect(report.relativeError).toBeLessThanOrEqual(0.02);
    }
  });

  it("is left out if a size can be reached only without it", async () => {
    const child = checkpoint(4);
    const withSize = (maxBytes: number) => encodeAdapter(child, { maxBytes }).catch(() => undefined);
    let maxBytes = 512;
    while ((await withSize(maxBytes)) === undefined) maxBytes += 16;
    const { bytes, report } = await encodeAdapter(child, { maxBytes, parent });
    expect(report.parent).toBeUndefined();
    expect(bytes).toEqual((await withSize(maxBytes))!.bytes);
  });

  it("is left out of a module that has become zero", async () => {
    const [empty, ...others] = checkpoint(3).modules;
    const child = {
      ...checkpoint(3),
      modules: [{ ...empty!, b: new Float32Array(empty!.b.length) }, ...others],
    };
    const { bytes, report } = await encodeAdapter(child, { maxError: 0.01, parent });
    expect(report.modules[0]!.fromParent).toBe(false);
    expect(await errorOf(bytes, child)).toBeCloseTo(report.relativeError, 6);
  });

  it.each<[string, Adapter]>([
    ["of other names", checkpoint(1, { suffix: ".other" })],
    ["of smaller ranks", checkpoint(1, { rank: 3 })],
    ["with experts", checkpoint(1, { experts: 2 })],
  ])("is refused if every module is %s", async (_, child) => {
    await expect(encodeAdapter(child, { maxError: 0.01, parent })).rejects.toMatchObject({
      kind: "USAGE",
      where: "parent",
      advice: expect.stringContaining("lqa inspect"),
    });
  });

  it("is refused with another profile, and with a tuning", async () => {
    await expect(encodeAdapter(checkpoint(1), { profile: "raw", parent })).rejects.toMatchObject({
      kind: "USAGE",
      actual: "profile raw",
    });
    const tuning = { contentId: "0".repeat(64), gains: new Map(), vectors: new Map() };
    const calibration = { moments: new Map(), source: new Uint8Array(1), tuning };
    await expect(encodeAdapter(checkpoint(1), { parent, calibration })).rejects.toMatchObject({
      kind: "USAGE",
      actual: "a tuning in the calibration",
    });
  });

  it("is refused if it has too many parents itself", async () => {
    let last = parent;
    const files = [parentBytes];
    for (let i = 1; i <= 4; i++) {
      const { bytes } = await encodeAdapter(checkpoint(i), { maxError: 0.002, parent: last });
      last = await open(bytes, { parents: files });
      files.push(bytes);
    }
    await expect(encodeAdapter(checkpoint(5), { maxError: 0.002, parent: last })).rejects.toMatchObject({
      kind: "CORE_LIMIT",
      advice: expect.stringContaining("lqa rebase"),
    });
  });
});
