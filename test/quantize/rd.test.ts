import { describe, expect, test } from "vitest";
import { type Adapter, type LoraModule, open, parameterCount, validate } from "../../src/core/index.ts";
import { type EncodeOptions, encodeAdapter, QUALITY_BITS, type QualityName } from "../../src/encode/index.ts";
import { random, shape, tensor } from "../container/fixtures.ts";
import { componentsOf } from "./components.ts";

/** Factors of random weights whose components fall off: sums of four uniform numbers, scaled by column. */
function module(name: string, over: Parameters<typeof shape>[1] = {}, seed = 1, decay = 0.6): LoraModule {
  const s = shape(name, { out: 320, in: 256, rank: 8, alpha: 16, ...over });
  const r = random(seed);
  const normal = (): number => (r.below(4096) + r.below(4096) + r.below(4096) + r.below(4096)) / 4096 - 2;
  const scale = (c: number): number => decay ** c;
  return {
    ...s,
    b: Float32Array.from(
      { length: s.experts * s.out * s.rank },
      (_, i) => normal() * scale(i % s.rank) * 0.1,
    ),
    a: Float32Array.from({ length: s.experts * s.rank * s.in }, () => normal() * 0.1),
  };
}

const adapter = (modules: LoraModule[], over: Partial<Adapter> = {}): Adapter => ({
  modules,
  tensors: [],
  origin: undefined,
  meta: {},
  ...over,
});

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

const several = adapter([
  module("layers.0.q"),
  module("layers.0.v", { out: 64 }, 2, 0.9),
  module("layers.1.q", { multiplier: 4, alpha: 32 }, 3),
  module("layers.1.down", { in: 700 }, 4, 0.4),
]);

describe("profile rd", () => {
  test.each([0.75, 1, 1.5, 2, 3, 5, 8, 11, 15])(
    "meets a goal of %d bits from below, everything counted",
    async (bits) => {
      const { bytes, report } = await encodeAdapter(several, { bits, floor: 0 });
      const most = (bits * several.modules.reduce((sum, m) => sum + parameterCount(m), 0)) / 8;
      expect(bytes.length).toBeLessThanOrEqual(most);
      expect(bytes.length).toBeGreaterThan(0.99 * most);
      expect(report.settings).toEqual({ profile: "rd", bits, floor: 0, fit: "unbiased" });
      expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
    },
  );

  test.each([0.5, 0.1, 0.01, 1e-4])("meets an error goal of %d", async (maxError) => {
    const { report } = await encodeAdapter(several, { maxError, floor: 0 });
    expect(report.relativeError).toBeLessThanOrEqual(maxError);
    expect(report.relativeError).toBeGreaterThan(0.7 * maxError);
  });

  test.each([1.5, 2, 3])("at %d bits what is coded is as strong as it was", async (bits) => {
    // With one component each, the gain of a module is that of the component.
    const single = adapter(
      Array.from({ length: 12 }, (_, i) =>
        module(`m${i}`, { rank: 1, multiplier: 1.5 ** -i, alpha: 1.5 ** -i }, i + 1),
      ),
    );
    const asked = { bits, floor: 0 };
    const { bytes, report } = await encodeAdapter(single, asked);
    const shrunk = (await encodeAdapter(single, { ...asked, fit: "least-squares" })).report;
    // A projection: what is lost of the length is what is lost of the energy.
    for (const { gain, relativeError } of shrunk.modules)
      expect(Math.abs(1 - gain - relativeError)).toBeLessThan(0.01);
    for (const { gain, averageBits } of report.modules)
      if (averageBits === 0) expect(gain).toBe(0);
      else if (averageBits > 1.2) expect(Math.abs(1 - gain)).toBeLessThan(0.01);
      else expect(gain).toBeGreaterThan(0.35);
    expect(report.gain).toBeGreaterThan(shrunk.gain);
    expect(report.relativeError).toBeGreaterThan(shrunk.relativeError);
    expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
  });

  test("what is coded makes up for the length of what is dropped", async () => {
    // Four strong components, and many weak ones that are dropped at this rate.
    const whole = module("m", { out: 640, in: 512, rank: 24 }, 1, 1);
    const uneven = { ...whole, b: whole.b.map((value, i) => (i % 24 < 4 ? value : value / 5)) };
    const { bytes, report } = await encodeAdapter(adapter([uneven]), { bits: 0.35, floor: 0 });
    const { bands } = (await open(bytes)).modules[0]!;
    const coded = sum(bands.map(({ b, components }) => (b.codec === "zero" ? 0 : components)));
    const energies = componentsOf(uneven).map(({ strength }) => (uneven.multiplier * strength) ** 2);
    const share = sum(energies.slice(0, coded)) / sum(energies);
    expect(share).toBeLessThan(0.9);
    expect(report.gain).toBeGreaterThan(share + (1 - share) / 4);
    expect(report.gain).toBeLessThan(1);
  });

  test.each([0.35, 0.5, 1, 2])(
    "at %d bits no module is worse than left out, or paid for nothing",
    async (bits) => {
      // Flat spectra of low rank, norms over two orders of magnitude: what image models' adapters have.
      const uneven = adapter(
        Array.from({ length: 12 }, (_, i) =>
          module(
            `blocks.${i}`,
            { rank: 4, multiplier: 4 ** (-i / 2), alpha: 4 * 4 ** (-i / 2) },
            i + 1,
            0.95,
          ),
        ),
      );
      for (const floor of [0, 0.5]) {
        if (floor > bits / 2) continue;
        const { report } = await encodeAdapter(uneven, { bits, floor });
        for (const { relativeError, averageBits } of report.modules) {
          expect(relativeError).toBeLessThanOrEqual(1);
          if (averageBits > 0) expect(relativeError).toBeLessThan(1);
        }
        expect(report.droppedModules).toBe(
          report.modules.filter(({ averageBits }) => averageBits === 0).length,
        );
        expect(report.weakModules).toBe(
          report.modules.filter(({ relativeError }) => relativeError > 0.5).length,
        );
      }
    },
  );

  test("errors of keys count by the outputs of the queries that meet them", async () => {
    const bitsOfKeys = async (query: string, key: string): Promise<number> => {
      const both = adapter([
        module(`model.layers.0.${query}`, { out: 512, in: 256, rank: 8 }, 1),
        module(`model.layers.0.${key}`, { out: 64, in: 256, rank: 8 }, 2),
      ]);
      const { report } = await encodeAdapter(both, { bits: 2 });
      return report.modules.find(({ name }) => name.endsWith(key))!.averageBits;
    };
    const plain = await bitsOfKeys("self_attn.x_proj", "self_attn.y_proj");
    expect(await bitsOfKeys("self_attn.q_proj", "self_attn.k_proj")).toBeLessThan(plain - 0.2);
    expect(await bitsOfKeys("attention.self.query", "attention.self.key")).toBeLessThan(plain - 0.2);
    // Without its queries.
    expect(await bitsOfKeys("self_attn.x_proj", "self_attn.k_proj")).toBe(plain);
    expect(await bitsOfKeys("mlp.q_proj", "self_attn.k_proj")).toBe(plain);
  });

  // The errors of many components of equal strength overlap, so that their sum is more than the allocation expects.
  const flat = adapter(
    Array.from({ length: 12 }, (_, i) => {
      const multiplier = 1 + i / 4;
      return module(`m${i}`, { out: 96, in: 96, rank: 16, multiplier, alpha: 16 * multiplier }, i + 1, 1);
    }),
  );

  test("so is one with sensitivities that are known up to a factor only", async () => {
    const sensitivities = new Map(
      flat.modules.map((m) => [
        m.name,
        componentsOf(m).map((own) => {
          const strength = m.multiplier * own.strength;
          return { strength, b: strength, a: strength, joint: strength / 100 };
        }),
      ]),
    );
    const worst = async (relative: boolean) => {
      const calibration = { moments: new Map(), sensitivities, relative, source: new Uint8Array(1) };
      const { report } = await encodeAdapter(flat, { bits: 0.9, calibration });
      return Math.max(...report.modules.map(({ relativeError }) => relativeError));
    };
    expect(await worst(false)).toBeGreaterThan(1);
    expect(await worst(true)).toBeLessThanOrEqual(1);
  });

  test.each([0.9, 1.15, 1.4])(
    "at %d bits a module that would lose more than all of it is weaker",
    async (bits) => {
      const { bytes, report } = await encodeAdapter(flat, { bits });
      expect(report.modules.filter(({ relativeError }) => relativeError > 1)).toEqual([]);
      expect(report.droppedModules).toBe(0);
      // Others lose nearly everything because they have hardly any bits.
      const weaker = report.modules.filter(({ relativeError, gain }) => relativeError > 0.95 && gain > 0.5);
      expect(weaker.length).toBeGreaterThan(0);
      expect(report.bitsPerParameter).toBeGreaterThan(0.95 * bits);
      expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
    },
  );

  test.each(Object.entries(QUALITY_BITS))(
    "quality %s is %d bits per weight of the modules",
    async (quality, bits) => {
      const { bytes, report } = await encodeAdapter(several, { quality: quality as QualityName });
      expect(report.averageBits).toBeLessThanOrEqual(bits);
      expect(report.averageBits).toBeGreaterThan(0.98 * bits);
      expect(report.settings).toEqual({ profile: "rd", quality, floor: 0, fit: "unbiased" });
      expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
      if (quality === "balanced") expect((await encodeAdapter(several)).bytes).toEqual(bytes);
    },
  );

  test("a byte goal counts plain tensors", async () => {
    const withTensor = { ...several, tensors: [tensor("head", { shape: [50, 20] })] };
    const { bytes } = await encodeAdapter(withTensor, { maxBytes: 9000 });
    expect(bytes.length).toBeLessThanOrEqual(9000);
    expect(bytes.length).toBeGreaterThan(8900);
  });

  test("gives every component its floor, if there is one", async () => {
    for (const [floor, least] of [
      [0.5, "trellis0.5"],
      [1, "trellis1 "],
    ] as const) {
      const { report } = await encodeAdapter(several, { bits: floor + 0.45, floor });
      const labels = report.modules.flatMap(({ bands }) => bands.flatMap(({ a, b }) => [a, b]));
      expect(labels.some((label) => label.startsWith(least))).toBe(true);
      expect(labels).not.toContain("zero");
      if (floor === 1) expect(labels.some((label) => label.startsWith("trellis0.5"))).toBe(false);
    }
  });

  test("a goal below the floor says what can be reached", async () => {
    const error = await encodeAdapter(several, { bits: 0.4, floor: 1 }).catch((e: unknown) => e);
    expect(String(error)).toMatch(/LQA-X004 USAGE.*this adapter.*at least \d+ bytes/);
    const least = Number(/at least (\d+) bytes/.exec(String(error))![1]);
    // The settings stand in the file, and "maxBytes=…" is a little longer than "bits=0.4".
    await encodeAdapter(several, { maxBytes: least + 16, floor: 1 });
  });

  test("outlier channels are rotated, even vectors are not", async () => {
    const even = module("even", {}, 1, 0.95);
    const uneven = {
      ...even,
      name: "uneven",
      b: even.b.map((x, i) => (Math.floor(i / 8) % 40 === 7 ? 20 * x : x)),
    };
    const { report, bytes } = await encodeAdapter(adapter([even, uneven]), { bits: 1.5 });
    const labels = (name: string, factor: "a" | "b"): string[] =>
      report.modules
        .find((m) => m.name === name)!
        .bands.map((band) => band[factor])
        .filter((x) => x !== "zero");
    for (const label of labels("uneven", "b")) expect(label).toMatch(/^trellis[\d.]+r whole bf16$/);
    for (const label of labels("even", "a")) expect(label).toMatch(/^trellis[\d.]+ whole bf16$/);
    expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
  });

  test("moments: less is lost of what comes out, at the same bytes", async () => {
    const r = random(9);
    const moments = new Map(
      several.modules.map((m) => [m.name, Float64Array.from({ length: m.in }, () => 4 ** (r.below(9) - 4))]),
    );
    const calibration = { moments, source: new Uint8Array(1) };
    const weighted = await encodeAdapter(several, { maxBytes: 11_000, calibration });
    // Unweighted moments only measure.
    const plain = await encodeAdapter(several, { maxBytes: 11_000 });
    const measured = await encodeAdapter(several, { maxBytes: 11_000, calibration, weighted: false });
    expect(measured.bytes).toEqual(plain.bytes);
    await expect(encodeAdapter(several, { weighted: true })).rejects.toThrow(/calibration file/);
    const file = await open(plain.bytes);
    let lost = 0;
    let energy = 0;
    let noise = 0;
    for (const m of several.modules) {
      const {
        b: { data: b },
        a: { data: a },
      } = await file.decode(m.name);
      for (let o = 0; o < m.out; o++)
        for (let j = 0; j < m.in; j++) {
          let was = 0;
          let is = 0;
          for (let c = 0; c < m.rank; c++) {
            was += m.b[o * m.rank + c]! * m.a[c * m.in + j]!;
            is += b[o * m.rank + c]! * a[c * m.in + j]!;
          }
          const weight = moments.get(m.name)![j]! * m.multiplier ** 2;
          noise += m.multiplier ** 2 * (was - is) ** 2;
          lost += weight * (was - is) ** 2;
          energy += weight * was ** 2;
        }
    }
    expect(measured.report.outputError).toBeCloseTo(lost / energy, 6);
    expect(measured.report.errorEnergy / noise).toBeCloseTo(1, 6);
    expect(weighted.bytes.length).toBeLessThanOrEqual(11_000);
    expect(weighted.report.outputError).toBeLessThan((0.8 * lost) / energy);
    // By the moments themselves, not their square roots, the weights would lose 4.4 times as much.
    expect(weighted.report.relativeError).toBeGreaterThan(plain.report.relativeError);
    expect(weighted.report.relativeError).toBeLessThan(2.5 * plain.report.relativeError);
  });

  test("the same adapter gives the same bytes", async () => {
    const { bytes } = await encodeAdapter(several, { bits: 1.25 });
    expect(
      (await encodeAdapter({ ...several, modules: [...several.modules].reverse() }, { bits: 1.25 })).bytes,
    ).toEqual(bytes);
  });

  test("special modules: zero, thin, one weight, dims 1 and 7, experts, constant, tiny and large weights", async () => {
    const special = adapter([
      { ...module("zero"), b: new Float32Array(320 * 8) },
      module("thin", { out: 3, in: 200, rank: 6 }),
      module("one", { out: 1, in: 1, rank: 1, alpha: 2 }),
      module("seven", { out: 7, in: 7, rank: 7, alpha: 14 }),
      module("moe", { experts: 3, out: 40, in: 24, rank: 4, alpha: 8 }),
      {
        ...module("constant", { rank: 1, alpha: 2 }),
        b: new Float32Array(320).fill(0.25),
        a: new Float32Array(256).fill(-3),
      },
      { ...module("tiny"), a: module("tiny").a.map((x) => x * 1e-9) },
      { ...module("large"), b: module("large").b.map((x) => x * 1e6) },
    ]);
    const { bytes, report } = await encodeAdapter(special, { bits: 3 });
    expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
    expect((await open(bytes)).module("zero").bands.map((b) => b.b.codec)).toEqual(["zero"]);
    for (const { relativeError } of report.modules) expect(relativeError).toBeLessThan(1.01);
  });

  test.each([
    [{ bits: 1, maxError: 0.1 }, /one goal/],
    [{ bits: 1, quality: "low" } as const, /one goal/],
    [{ quality: "best" as "high" }, /quality.*near-lossless/],
    [{ bits: 0 }, /bits/],
    [{ maxError: 2 }, /maxError/],
    [{ floor: 0.3 }, /floor/],
    [{ fit: "double" as "unbiased" }, /fit.*unbiased/],
    [{ bits: 1, codeBits: 2 }, /only with profile/],
    [{ profile: "raw", bits: 2 } as const, /bits only with profile rd/],
  ])("refuses %j", async (options, message) => {
    // Most of them do not compile.
    await expect(encodeAdapter(several, options as EncodeOptions)).rejects.toThrow(message);
  });
});
