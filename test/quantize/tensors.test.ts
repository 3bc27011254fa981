/** Plain tensors: stored as they are, or as F16 and given back in the type they had. */

import { describe, expect, it } from "vitest";
import { writeAdapter } from "../../src/adapters/index.ts";
import { type Adapter, type ElementType, open, type PlainTensor, validate } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { f16ToNumber, numberToBf16, numberToF16 } from "../helpers/floats.ts";
import { normal } from "../helpers/random.ts";
import { makeModule } from "./modules.ts";

const values = (count: number, seed = 1, scale = 1): number[] => {
  const next = normal(seed);
  return Array.from({ length: count }, () => scale * next());
};

function tensor(
  name: string,
  element: ElementType,
  numbers: readonly number[],
  over: Partial<PlainTensor> = {},
): PlainTensor {
  const size = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, U32: 4, BOOL: 1 }[element as "F32"];
  const data = new Uint8Array(numbers.length * size);
  const view = new DataView(data.buffer);
  numbers.forEach((value, i) => {
    const at = size * i;
    if (element === "F64") view.setFloat64(at, value, true);
    else if (element === "F32") view.setFloat32(at, value, true);
    else if (element === "F16") view.setUint16(at, numberToF16(value), true);
    else if (element === "BF16") view.setUint16(at, numberToBf16(value), true);
    else if (element === "I64") view.setBigInt64(at, BigInt(Math.round(value)), true);
    else if (element === "U32") view.setUint32(at, Math.abs(Math.round(value)), true);
    else data[at] = value > 0 ? 1 : 0;
  });
  return { name, role: "replace", element, shape: [numbers.length], axis: 0, data, ...over };
}

const adapterOf = (tensors: PlainTensor[], over: Partial<Adapter> = {}): Adapter => ({
  modules: [makeModule({ out: 96, in: 64, rank: 4 })],
  tensors,
  origin: { dialect: "test" },
  meta: {},
  ...over,
});

const mixed = [
  tensor("a.bias", "F32", values(300, 2), { role: "bias" }),
  tensor("b.weight", "F32", values(200, 3)),
  tensor("c.weight", "F16", values(200, 4)),
  tensor("d.weight", "F64", values(200, 5)),
  tensor("e.weight", "BF16", values(200, 6)),
  tensor("f.steps", "I64", [3, -7, 1e12]),
  tensor("g.mask", "BOOL", values(9, 7)),
  tensor("layers.0.q_proj", "F32", values(96, 8, 3), { role: "magnitude" }),
  tensor("tok", "F32", values(40, 9), { role: "token-rows", shape: [4, 10] }),
  tensor("tok", "U32", [1, 5, 6, 9], { role: "token-indices", shape: [4] }),
];

describe("rounding to F16", () => {
  it("is to nearest, ties to even, in one step from binary64", () => {
    for (const [value, bits] of [
      // Just above a tie of F16 that F32 cannot tell from the tie.
      [1.0004882812500002, 0x3c01],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [-(1 + 2 ** -11 + 2 ** -40), 0xbc01],
      [1 + 2 ** -11 - 2 ** -40, 0x3c00],
      [2 ** -25, 0],
      [2 ** -25 + 2 ** -60, 1],
      [-0, 0x8000],
      [65519.99999999999, 0x7bff],
      [65520, 0x7c00],
      [1e300, 0x7c00],
    ] as const)
      expect(numberToF16(value), String(value)).toBe(bits);
    expect(f16ToNumber(numberToF16(Number.NaN))).toBeNaN();
    for (const value of values(2000, 11, 0.01).map(Math.fround))
      expect(numberToF16(value)).toBe(numberToF16(value));
  });

  const narrowed = async (...tensors: PlainTensor[]) =>
    (await encodeAdapter(adapterOf(tensors), { profile: "sign", tensors: "f16" })).report.narrowed!;

  it("names the tensor and the index of a value beyond F16, and what to do", async () => {
    const large = tensor("head.weight", "F32", [1, 2, -65520, 4]);
    await expect(narrowed(large)).rejects.toThrow(
      /SOURCE_RANGE.*tensor "head\.weight", index 2.*found -65520/,
    );
    await expect(narrowed(tensor("x", "F64", [1e300]))).rejects.toThrow(/"x", index 0/);
    expect((await narrowed(tensor("x", "F32", [65504, -65519]))).tensors).toBe(1);
  });

  it("says how many were narrowed and what that lost", async () => {
    const exact = tensor("exact", "F32", [1, 0.5, -2]);
    const found = await narrowed(exact, ...mixed);
    expect(found.tensors).toBe(7);
    expect(found.relativeError).toBeGreaterThan(1e-9);
    expect(found.relativeError).toBeLessThan(2 ** -22);
    expect(found.worst!.relativeError).toBeGreaterThanOrEqual(found.relativeError);
    expect(await narrowed(exact)).toEqual({
      tensors: 1,
      relativeError: 0,
      worst: undefined,
    });
    // Below 2^-24 nothing is left.
    const tiny = await narrowed(tensor("tiny", "F32", [1e-9, 1e-9]), exact);
    expect(tiny.worst).toEqual({ name: "tiny", relativeError: 1 });
  });
});

describe("the policies", () => {
  const byElement = (tensors: readonly { element: ElementType }[]): string =>
    tensors.map(({ element }) => element).join(" ");

  it("zstd and keep store every byte; keep needs no zstd", async () => {
    const constant = tensor("a", "F32", new Array(500).fill(0.5));
    const adapter = adapterOf([constant, ...mixed]);
    for (const policy of ["zstd", "keep", undefined] as const) {
      const { bytes, report } = await encodeAdapter(adapter, {
        profile: "sign",
        ...(policy === undefined ? {} : { tensors: policy }),
      });
      expect(report).toMatchObject({ tensorPolicy: policy ?? "zstd", tensors: 11 });
      expect(report.narrowed).toBeUndefined();
      const file = await open(bytes);
      const back = await file.adapter();
      for (const original of adapter.tensors)
        expect(back.tensors.find((t) => t.name === original.name && t.role === original.role)).toEqual(
          original,
        );
      expect(back.origin).toEqual({ dialect: "test" });
      const compressions = new Set(file.tensors.map(({ compression }) => compression));
      expect(compressions.has("none")).toBe(true);
      expect(compressions.size > 1).toBe(policy !== "keep");
      expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
    }
  });

  it("f16 halves floats, leaves the rest, and keeps the types for writing the source again", async () => {
    const adapter = adapterOf(mixed);
    const { bytes, report } = await encodeAdapter(adapter, { profile: "sign", tensors: "f16" });
    expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
    expect(report).toMatchObject({ tensorPolicy: "f16", tensors: 10, narrowed: { tensors: 6 } });
    const file = await open(bytes);
    expect((await file.meta()).encoder).toMatch(/ profile=sign group=128 tensors=f16$/);
    const stored = await file.adapter();
    expect(byElement(stored.tensors)).toBe("F16 F16 F16 F16 F16 I64 BOOL F16 F16 U32");
    expect(stored.origin).toEqual({
      dialect: "test",
      tensor_element: "F32",
      tensor_elements: [
        ["replace", "c.weight", "F16"],
        ["replace", "d.weight", "F64"],
        ["replace", "e.weight", "BF16"],
      ],
    });
    for (const name of ["c.weight", "f.steps", "g.mask"])
      expect(stored.tensors.find((t) => t.name === name)).toEqual(mixed.find((t) => t.name === name));
  });

  it("f16 gives the same bytes whatever the order of the tensors, and again from what was decoded", async () => {
    const options = { profile: "raw", tensors: "f16" } as const;
    const { bytes } = await encodeAdapter(adapterOf(mixed), options);
    expect((await encodeAdapter(adapterOf([...mixed].reverse()), options)).bytes).toEqual(bytes);
    const decoded = await (await open(bytes)).adapter();
    const { encoder: _encoder, relative_error: _error, ...meta } = decoded.meta;
    const again = await encodeAdapter({ ...decoded, meta } as Adapter, options);
    expect(again.report.narrowed).toEqual({ tensors: 0, relativeError: 0, worst: undefined });
    expect(again.bytes).toEqual(bytes);
  });

  it("an adapter of no dialect has nowhere to keep the types", async () => {
    const { bytes } = await encodeAdapter(adapterOf(mixed, { origin: undefined }), {
      tensors: "f16",
      profile: "raw",
    });
    expect(await (await open(bytes)).origin()).toBeUndefined();
  });

  it("the goals of rd hold with every policy, plain tensors counted or not as they say", async () => {
    const big = [
      tensor("head", "F32", values(3000, 12)),
      ...mixed.filter(({ role }) => role !== "magnitude"),
    ];
    const modules = [1, 2, 3].map((seed) => ({
      ...makeModule({ out: 512, in: 768, rank: 8 }, seed),
      name: `layers.${seed}`,
    }));
    const adapter = adapterOf(big, { modules });
    const parameters = 3 * 8 * (512 + 768);
    let last = Number.POSITIVE_INFINITY;
    for (const policy of ["keep", "zstd", "f16"] as const) {
      const bits = (await encodeAdapter(adapter, { bits: 2, tensors: policy })).report;
      expect(bits.bitsPerParameter).toBeLessThanOrEqual(2);
      expect(bits.bitsPerParameter).toBeGreaterThan(1.98);
      expect(bits.bitsPerParameter).toBeCloseTo((8 * (bits.outputBytes - bits.tensorBytes)) / parameters, 12);
      expect(bits.averageBits).toBeLessThan(2);
      expect(bits.outputBytes).toBeLessThan(last);
      last = bits.outputBytes;
      const bytes = await encodeAdapter(adapter, { maxBytes: 25_000, tensors: policy });
      expect(bytes.bytes.length).toBeLessThanOrEqual(25_000);
      expect(bytes.bytes.length).toBeGreaterThan(24_750);
    }
  });

  it("another word is refused", async () => {
    const wrong = encodeAdapter(adapterOf([]), { tensors: "f8" as "f16" });
    await expect(wrong).rejects.toThrow(/USAGE.*tensors.*expected zstd, keep, f16, found f8/);
  });

  it("a NaN is refused before it is rounded", async () => {
    const broken = adapterOf([tensor("t", "F32", [1, Number.NaN])]);
    await expect(encodeAdapter(broken, { tensors: "f16" })).rejects.toThrow(
      /SOURCE_NONFINITE.*"t".*element 1/,
    );
  });
});

describe("the record of types", () => {
  it("is absent where nothing was narrowed, and otherwise keeps what an older one says", async () => {
    const recorded = async (...tensors: PlainTensor[]) => {
      const adapter = adapterOf(tensors, { origin: { dialect: "x", tensor_element: "F32", note: 1 } });
      const { bytes } = await encodeAdapter(adapter, { profile: "sign", tensors: "f16" });
      return (await open(bytes)).origin();
    };
    expect(await recorded()).toEqual({ dialect: "x", note: 1 });
    const bias = (name: string, element: ElementType) => tensor(name, element, [1, 2], { role: "bias" });
    expect(await recorded(bias("a", "F16"), bias("b", "BF16"), bias("c", "BF16"))).toEqual({
      dialect: "x",
      note: 1,
      tensor_element: "BF16",
      tensor_elements: [["bias", "a", "F32"]],
    });
  });

  it.each([
    { tensor_element: "I8" },
    { tensor_element: 3 },
    { tensor_elements: "F32" },
    { tensor_elements: [["bias", "a"]] },
    { tensor_elements: [["bias", "a", "F8"]] },
    { tensor_elements: ["bias"] },
  ])("%j, which anyone could have written, is refused", (fields) => {
    const adapter = adapterOf([], { origin: { dialect: "peft", ...fields } });
    expect(() => writeAdapter(adapter, { factors: "source" })).toThrow(/UNSUPPORTED_DIALECT.*tensor_element/);
  });
});
