/** What a report says: against the encoder's own figures, counts made another way, and damaged files. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  type Adapter,
  type ByteSource,
  ERRORS,
  encodingLabel,
  type LoraModule,
  LqaError,
  memorySource,
  open,
  parameterCount,
} from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { compareAdapter, inspectLqa } from "../../src/report/index.ts";
import { normal } from "../helpers/random.ts";

const next = normal(7);
function module(name: string, change: Partial<LoraModule> = {}): LoraModule {
  const shape = {
    ...{
      name,
      role: "linear",
      out: 48,
      in: 80,
      kernel: [],
      experts: 1,
      rank: 4,
      baseLayout: "out-in",
    },
    ...{ multiplier: 2, alpha: 8, rule: "alpha/r" },
    ...change,
  } as LoraModule;
  const weights = (length: number): Float32Array => Float32Array.from({ length }, () => next() * 0.1);
  return {
    ...shape,
    b: weights(shape.experts * shape.out * shape.rank),
    a: weights(shape.experts * shape.in * shape.rank),
  };
}
const adapter: Adapter = {
  modules: ["layers.0.q", "layers.0.v", "layers.1.q", "layers.1.v"].map((name) => module(name)),
  tensors: [],
  origin: undefined,
  meta: { base_model: "tiny" },
};
const sum = (values: readonly number[]): number => values.reduce((x, y) => x + y, 0);

describe("a file beside its source", () => {
  it("has the errors that the encoder measured", async () => {
    const { bytes, report } = await encodeAdapter(adapter, { bits: 3 });
    const { modules, source, validation } = await inspectLqa(bytes, { source: adapter });
    expect(validation.valid).toBe(true);
    expect(modules.map(({ name }) => name)).toEqual(report.modules.map(({ name }) => name));
    modules.forEach(({ loss, bits }, i) => {
      expect(loss?.relativeError).toBeCloseTo(report.modules[i]!.relativeError, 9);
      // The encoder counts the padding behind a chunk as well.
      const padding = ((report.modules[i]!.bitsPerParameter - bits) * report.modules[i]!.parameters) / 8;
      expect(padding >= 0 && padding < 64).toBe(true);
    });
    expect(source).toMatchObject({
      modules: 4,
      onlyInSource: [],
      notInSource: [],
      bits: report.bitsPerParameter,
    });
    expect(source!.relativeError).toBeCloseTo(report.relativeError, 9);
  });

  it("is as far from the bound as the comparison of methods says", async () => {
    const { rows } = await compareAdapter(adapter, { bits: [3] });
    const { bytes } = await encodeAdapter(adapter, { bits: 3 });
    const { source } = await inspectLqa(bytes, { source: adapter });
    const row = rows.find(({ method }) => method === "rd 3");
    expect(source!.aboveBoundDb).toBeCloseTo(row!.measured!.aboveBoundDb!, 6);
    expect(source!.boundCurve[0]).toEqual({ bits: 0, relativeError: 1 });
    const errors = source!.boundCurve.map(({ relativeError }) => relativeError);
    expect(errors).toEqual([...errors].sort((x, y) => y - x));
  });

  it("loses nothing where it is not quantized, and has the singular values of the source", async () => {
    const experts = {
      ...adapter,
      modules: [module("moe.0.w", { experts: 3, role: "linear" }), ...adapter.modules],
    };
    const { bytes } = await encodeAdapter(experts, { profile: "raw", element: "f32" });
    const { modules, source, codes } = await inspectLqa(bytes, { source: experts });
    expect(source).toMatchObject({ relativeError: 0, aboveBoundDb: undefined });
    expect(codes).toEqual([]);
    for (const { singularValues, loss, experts: count } of modules) {
      expect(singularValues).toEqual(loss!.singularValues);
      // Both sum the energy of ΔW, one over components, the other over its entries.
      expect(count * sum([...singularValues!].map((value) => value * value))).toBeCloseTo(loss!.energy, 6);
    }
  });

  it("tells modules that only one of both has", async () => {
    const { bytes } = await encodeAdapter(adapter);
    const other = {
      ...adapter,
      modules: [module("layers.0.q"), module("layers.0.v", { in: 81 }), module("layers.2.q")],
    };
    const { source } = await inspectLqa(bytes, { source: other });
    expect(source).toMatchObject({
      modules: 1,
      onlyInSource: ["layers.0.v", "layers.2.q"],
      notInSource: ["layers.0.v", "layers.1.q", "layers.1.v"],
    });
  });
});

describe("codes", () => {
  const counted = async (options: object): Promise<Map<string, readonly number[]>> => {
    const { bytes } = await encodeAdapter(adapter, options);
    const { codes } = await inspectLqa(bytes);
    return new Map(codes.map(({ encoding, counts }) => [encoding, counts]));
  };

  it("are counted as the decoded signs show them", async () => {
    const { bytes } = await encodeAdapter(adapter, { profile: "sign" });
    const file = await open(bytes);
    const weights: number[] = [];
    for await (const { b, a } of file.decodeAll()) weights.push(...b.data, ...a.data);
    const minus = weights.filter((weight) => weight < 0).length;
    expect(await counted({ profile: "sign" })).toEqual(
      new Map([["sign g128 f16", [minus, weights.length - minus]]]),
    );
  });

  it("are counted as the decoded integers of the trellis show them", async () => {
    const found = await counted({ bits: 3 });
    const file = await open((await encodeAdapter(adapter, { bits: 3 })).bytes);
    const expected = new Map<string, number[]>();
    for (const record of file.modules) {
      const {
        b: { data: b },
        a: { data: a },
      } = await file.decode(record, { layout: "component" });
      let component = 0;
      for (const [i, band] of record.bands.entries())
        for (let c = 0; c < band.components; c++, component++)
          for (const [factor, weights, length] of [
            ["b", b, record.out],
            ["a", a, record.in],
          ] as const) {
            const encoding = band[factor];
            if (encoding.codec !== "trellis" || encoding.rotation !== "none") continue;
            const { scales } = (await file.packed(record)).planes[0]![i]![factor];
            const scale = new Float32Array(
              Uint32Array.of(new DataView(scales.buffer, scales.byteOffset).getUint16(2 * c, true) << 16)
                .buffer,
            )[0]!;
            const counts = expected.get(encodingLabel(encoding)) ?? new Array<number>(32).fill(0);
            for (let w = 0; w < length; w++) counts[(weights[component * length + w]! / scale + 128) >> 3]!++;
            expected.set(encodingLabel(encoding), counts);
          }
    }
    expect(expected.size).toBeGreaterThan(0);
    for (const [label, counts] of expected) expect([label, found.get(label)]).toEqual([label, counts]);
  });

  it("are all there", async () => {
    const parameters = sum(adapter.modules.map(parameterCount));
    for (const [label, counts] of await counted({ profile: "rtn", codeBits: 4 })) {
      expect(label).toBe("affine4 g128 f16");
      expect(counts).toHaveLength(16);
      expect(sum([...counts])).toBe(parameters);
    }
  });
});

describe("the map of bytes", () => {
  it("has every byte of the annotated example once", async () => {
    const bytes = new Uint8Array(readFileSync(new URL("../../spec/example.lqa", import.meta.url)));
    const { byteMap, fileLength } = await inspectLqa(bytes);
    const { totals, cells, cellBytes } = byteMap!;
    expect(sum(Object.values(totals))).toBe(bytes.length);
    expect(fileLength).toBe(bytes.length);
    expect(cells.length * cellBytes).toBeCloseTo(bytes.length, 6);
    expect(totals["prologue and trailer"]).toBe(128);
    expect(cells[0]).toBe("prologue and trailer");
    expect(cells.at(-1)).toBe("prologue and trailer");
  });

  it("names what a cell is mostly made of", async () => {
    const { bytes } = await encodeAdapter(adapter, { profile: "raw", element: "f32" });
    const { byteMap } = await inspectLqa(bytes);
    const { totals, cells, cellBytes } = byteMap!;
    const raw = cells.filter((kind) => kind === "raw weights").length * cellBytes;
    expect(totals["raw weights"]).toBe(4 * sum(adapter.modules.map(parameterCount)));
    expect(Math.abs(raw - totals["raw weights"])).toBeLessThan(20 * cellBytes);
    expect(sum(Object.values(totals))).toBe(bytes.length);
  });
});

describe("a file behind a source", () => {
  /** What is read of it. */
  const watched = (bytes: Uint8Array): { source: ByteSource; read: () => number; largest: () => number } => {
    const inner = memorySource(bytes);
    let [read, largest] = [0, 0];
    return {
      read: () => read,
      largest: () => largest,
      source: {
        size: bytes.length,
        async read(offset, length, signal) {
          const piece = await inner.read(offset, length, signal);
          read += piece.length;
          largest = Math.max(largest, piece.length);
          return piece;
        },
      },
    };
  };
  const large: Adapter = {
    ...adapter,
    modules: Array.from({ length: 40 }, (_, i) => module(`layers.${i}.q`, { out: 800, in: 1200 })),
  };

  it("is reported like one in memory, whole, damaged or cut", async () => {
    const { bytes } = await encodeAdapter(adapter, { bits: 3 });
    const damaged = bytes.slice();
    damaged[bytes.length >> 1]! ^= 1;
    for (const file of [bytes, damaged, bytes.subarray(0, -1), bytes.subarray(0, 70)]) {
      const { validation, ...rest } = await inspectLqa(watched(file).source, { source: adapter });
      const { validation: other, ...same } = await inspectLqa(file, { source: adapter });
      expect(rest).toEqual(same);
      expect(validation).toEqual(other);
    }
  });

  it("is read no further than its index and metadata if nothing else is requested", async () => {
    const { bytes } = await encodeAdapter(large, { profile: "raw" });
    const { source, read, largest } = watched(bytes);
    const found = await inspectLqa(source, { level: "structure", weights: false });
    expect(found.validation).toMatchObject({ valid: true, level: "structure", bytes: bytes.length });
    expect(found.modules).toHaveLength(40);
    expect(found.modules[0]).toMatchObject({ singularValues: undefined, problem: undefined });
    expect(found.meta).toMatchObject({ base_model: "tiny" });
    expect(largest()).toBeLessThanOrEqual(2 ** 16);
    expect(read()).toBeLessThan(bytes.length / 5);
  });

  it("says what the source fails with", async () => {
    // Longer than the first read, which has the header.
    const weights = new Float32Array(16 * 1024).fill(0.5);
    const [module] = adapter.modules;
    const large = { ...module!, name: "large", out: 1024, in: 1024, rank: 16, b: weights, a: weights };
    const { bytes } = await encodeAdapter(
      { ...adapter, modules: [large] },
      { profile: "raw", element: "f32" },
    );
    const inner = memorySource(bytes);
    const broken = (from: number): ByteSource => ({
      size: bytes.length,
      async read(offset, length) {
        if (offset >= from) throw new LqaError(ERRORS.NETWORK, { where: "a test" });
        return inner.read(offset, length);
      },
    });
    for (const from of [0, 1])
      await expect(inspectLqa(broken(from), { level: "structure" })).rejects.toMatchObject({
        kind: "NETWORK",
      });
  });
});

describe("a file that is not whole", () => {
  it("is described as far as it can be read", async () => {
    const { bytes } = await encodeAdapter(adapter);
    const damaged = bytes.slice();
    const { chunk } = (await open(bytes)).modules[1]!;
    damaged[chunk.offset]! ^= 1;
    const found = await inspectLqa(damaged, { source: adapter });
    expect(found.validation.findings.map(({ kind }) => kind)).toContain("CHUNK_CRC");
    expect(found.modules.map(({ problem }) => problem?.slice(0, 18))).toEqual([
      undefined,
      "LQA-I003 CHUNK_CRC",
      undefined,
      undefined,
    ]);
    expect(found.source).toMatchObject({ modules: 3, notInSource: [] });
    expect(found.meta).toMatchObject({ base_model: "tiny" });
  });

  it("has findings and nothing else where the index cannot be read", async () => {
    const { bytes } = await encodeAdapter(adapter);
    for (const broken of [
      bytes.subarray(0, 100),
      new Uint8Array(0),
      new Uint8Array(500).fill(7),
      bytes.subarray(0, -1),
    ]) {
      const found = await inspectLqa(broken);
      expect(found.validation.valid).toBe(false);
      expect(found).toMatchObject({
        modules: [],
        byteMap: undefined,
        version: undefined,
        fileLength: broken.length,
      });
    }
  });

  it("says which weights are not finite", async () => {
    const strange = { ...adapter, modules: [module("layers.0.q")] };
    const { bytes } = await encodeAdapter(strange, { profile: "raw", element: "f32" });
    const { modules, source } = await inspectLqa(bytes, {
      source: {
        ...strange,
        modules: [{ ...strange.modules[0]!, b: strange.modules[0]!.b.map(() => Number.NaN) }],
      },
    });
    expect(modules[0]).toMatchObject({
      problem: "the source has weights that are not finite",
      loss: undefined,
    });
    expect(source).toMatchObject({ modules: 0, relativeError: 0 });
  });

  it("is left out where it would take too long", async () => {
    const { bytes } = await encodeAdapter(adapter);
    const { bands, parameters } = (await inspectLqa(bytes)).modules[0]!;
    const work = (parameters * (4 + 16) + 2 ** 15 * bands.length) * 2;
    const { modules } = await inspectLqa(bytes, { work });
    expect(modules.map(({ problem }) => problem?.slice(0, 8))).toEqual([
      undefined,
      undefined,
      "left out",
      "left out",
    ]);
  });

  it("stops on request", async () => {
    const { bytes } = await encodeAdapter(adapter);
    await expect(inspectLqa(bytes, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      kind: "ABORTED",
    });
  });

  it("does not say of modules that it did not read that one lacks them", async () => {
    const { bytes } = await encodeAdapter(adapter);
    const { modules, source } = await inspectLqa(bytes, { source: adapter, work: 0 });
    expect(modules.every(({ problem }) => problem !== undefined)).toBe(true);
    expect(source).toMatchObject({ modules: 0, onlyInSource: [], notInSource: [] });
  });
});
