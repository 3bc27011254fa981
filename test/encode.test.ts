import { describe, expect, test } from "vitest";
import packageJson from "../package.json" with { type: "json" };
import {
  type Adapter,
  type LoraModule,
  open,
  parameterCount,
  VERSION,
  validate,
  type WeightType,
} from "../src/core/index.ts";
import { encodeAdapter } from "../src/encode/index.ts";
import { random, shape, tensor } from "./container/fixtures.ts";

function module(name: string, over: Parameters<typeof shape>[1] = {}, seed = 1): LoraModule {
  const s = shape(name, { out: 130, in: 96, rank: 6, alpha: 12, ...over });
  const r = random(seed);
  const values = (n: number): Float32Array =>
    Float32Array.from({ length: n }, () => (r.below(2001) - 1000) / 5000);
  return {
    ...s,
    b: values(s.experts * s.out * s.rank),
    a: values(s.experts * s.rank * s.in * s.kernel.reduce((p, k) => p * k, 1)),
  };
}

const adapter = (modules: LoraModule[], over: Partial<Adapter> = {}): Adapter => ({
  modules,
  tensors: [],
  origin: undefined,
  meta: {},
  ...over,
});

describe("encoding", () => {
  const whole = adapter(
    [
      module("layers.1.q"),
      module("layers.10.q", {}, 2),
      module(
        "layers.2.conv",
        { role: "conv2d", kernel: [3, 3], in: 5, out: 7, rank: 4, multiplier: 0.5, alpha: 2 },
        3,
      ),
    ],
    {
      tensors: [tensor("head.weight", { shape: [20, 20] })],
      origin: { dialect: "test", note: "x".repeat(200) },
      meta: { base_model: "some/base" },
    },
  );

  test("the same adapter gives the same bytes", async () => {
    const { bytes } = await encodeAdapter(whole);
    expect((await encodeAdapter(whole)).bytes).toEqual(bytes);
    expect((await encodeAdapter({ ...whole, modules: [...whole.modules].reverse() })).bytes).toEqual(bytes);
  });

  test("what comes out is valid, canonical, and carries everything", async () => {
    const { bytes, report } = await encodeAdapter(whole, { profile: "rtn", codeBits: 3 });
    expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
    const file = await open(bytes);
    expect(file.modules.map((m) => m.name)).toEqual(["layers.1.q", "layers.2.conv", "layers.10.q"]);
    expect(await file.origin()).toEqual(whole.origin);
    expect(await file.meta()).toEqual({
      base_model: "some/base",
      encoder: `lqa/${VERSION} profile=rtn codeBits=3 group=128`,
      relative_error: report.relativeError,
    });
    const back = await file.adapter();
    expect(back.tensors).toEqual(whole.tensors);
    expect(back.modules.map(({ a: _a, b: _b, ...rest }) => rest)).toEqual(
      [0, 2, 1].map((i) => {
        const { a: _a, b: _b, ...rest } = whole.modules[i]!;
        return rest;
      }),
    );
  });

  test("the reported error is the error of what a reader decodes", async () => {
    const { bytes, report } = await encodeAdapter(whole);
    const back = await (await open(bytes)).adapter();
    let energy = 0;
    let lost = 0;
    for (const m of whole.modules) {
      const decoded = back.modules.find((d) => d.name === m.name)!;
      const n = m.a.length / m.rank;
      for (let o = 0; o < m.out; o++)
        for (let i = 0; i < n; i++) {
          let w = 0;
          let d = 0;
          for (let k = 0; k < m.rank; k++) {
            w += m.b[o * m.rank + k]! * m.a[k * n + i]!;
            d += decoded.b[o * m.rank + k]! * decoded.a[k * n + i]!;
          }
          energy += (m.multiplier * w) ** 2;
          lost += (m.multiplier * (w - d)) ** 2;
        }
    }
    expect(report.relativeError).toBeCloseTo(lost / energy, 9);
    expect(report.snrDb).toBeCloseTo(10 * Math.log10(energy / lost), 6);
  });

  test("sizes in the report add up", async () => {
    const { bytes, report } = await encodeAdapter(whole);
    expect(report.outputBytes).toBe(bytes.length);
    expect(report.parameters).toBe(whole.modules.reduce((sum, m) => sum + parameterCount(m), 0));
    expect(report.bitsPerParameter).toBeCloseTo(
      (8 * (bytes.length - report.tensorBytes)) / report.parameters,
      12,
    );
    const file = await open(bytes);
    for (const m of report.modules)
      expect(m.bytes - file.module(m.name).chunk.length).toBeLessThan(file.prologue.alignment);
  });

  test("profile raw keeps every bit of the factors", async () => {
    const { bytes, report } = await encodeAdapter(whole, { profile: "raw" });
    expect(report.relativeError).toBe(0);
    const back = await (await open(bytes)).adapter();
    for (const m of whole.modules) {
      const decoded = back.modules.find((d) => d.name === m.name)!;
      expect(decoded.b).toEqual(m.b);
      expect(decoded.a).toEqual(m.a);
    }
  });

  test("f16 output is the f32 output rounded once, in either layout, into new or given arrays", async () => {
    const file = await open((await encodeAdapter(whole)).bytes);
    for (const { name, rank, out } of file.modules) {
      const wide = await file.decode(name);
      const half = await file.decode(name, { type: "f16" });
      const into = { b: new Uint16Array(wide.b.data.length), a: new Uint16Array(wide.a.data.length) };
      await file.decode(name, { type: "f16", into });
      expect(new Uint16Array(half.b.data.buffer)).toEqual(into.b);
      const components = await file.decode(name, { layout: "component" });
      for (let o = 0; o < out; o++)
        for (let k = 0; k < rank; k++) expect(components.b.data[k * out + o]).toBe(wide.b.data[o * rank + k]);
      expect(components.a).toEqual(wide.a);
      const short = { b: new Float32Array(1), a: new Float32Array(1) };
      await expect(file.decode(name, { into: short })).rejects.toThrow(/LQA-X006 TARGET_SIZE/);
      await expect(file.decode<WeightType>(name, { into })).rejects.toThrow(/TARGET_SIZE/);
    }
  });

  test("a multiplier that its alpha does not reproduce is stored as explicit", async () => {
    const odd = module("q", { multiplier: Math.fround(0.1 / 6), alpha: 0.1 });
    const file = await open((await encodeAdapter(adapter([odd]))).bytes);
    expect(file.modules[0]!.multiplier).toBe(Math.fround(0.1 / 6));
  });

  test("special modules are encoded: all zero, rank above a dimension, experts", async () => {
    const special = adapter([
      { ...module("zero"), b: new Float32Array(130 * 6) },
      module("thin", { out: 3, in: 200, rank: 6 }),
      module("one", { out: 1, in: 1, rank: 1, alpha: 2 }),
      module("moe", { experts: 3, out: 10, in: 12 }),
    ]);
    const { bytes, report } = await encodeAdapter(special);
    expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
    const file = await open(bytes);
    expect(file.module("zero").bands.map((b) => b.b.codec)).toEqual(["zero"]);
    expect(file.module("zero").payload).toBe(0);
    expect(report.modules.every((m) => Number.isFinite(m.relativeError))).toBe(true);
  });

  test.each<[string, Adapter, RegExp]>([
    [
      "a NaN in A",
      adapter([{ ...module("q"), a: module("q").a.fill(Number.NaN, 7, 8) }]),
      /LQA-S003 SOURCE_NONFINITE.*q.*A, index 7/,
    ],
    [
      "an Inf in a plain tensor",
      adapter([], {
        tensors: [tensor("t", { data: new Uint8Array(new Float32Array([1, Infinity, 1, 1, 1, 1]).buffer) })],
      }),
      /SOURCE_NONFINITE.*"t".*element 1/,
    ],
    ["a factor of the wrong length", adapter([{ ...module("q"), b: new Float32Array(5) }]), /SOURCE_SHAPE/],
    ["two modules of one name", adapter([module("q"), module("q")]), /NAME_ORDER/],
    ["a name with a line feed", adapter([module("q\n")]), /NAME_ENCODING/],
  ])("refuses %s", (_, broken, message) => expect(encodeAdapter(broken)).rejects.toThrow(message));

  test("stops when asked to", async () => {
    const controller = new AbortController();
    const work = encodeAdapter(whole, { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(work).rejects.toThrow(/LQA-X005 ABORTED/);
  });

  test("the version in files is the package's", () => expect(VERSION).toBe(packageJson.version));
});
