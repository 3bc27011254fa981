/**
 * A large chunk is checked in pieces where a source is read, and whole where the file is in memory: both find the same.
 */

import { crc32 } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { planeExtents } from "../../src/core/format.ts";
import {
  type ByteSource,
  type Encoding,
  isLqaError,
  open,
  type Validation,
  validate,
} from "../../src/core/index.ts";
import { fileBytes, packed, random, shape, tensor } from "../container/fixtures.ts";
import { sample } from "../helpers/thorough.ts";
import { inPieces } from "../read/events.ts";

/** What both ways must agree on. */
const summary = ({ findings, omitted, bytes, ids }: Validation) => ({
  findings: findings.map(({ message }) => message),
  // How many more there are is counted in memory; a scan stops counting at a thousand.
  more: omitted > 0,
  bytes,
  ids,
});

/** A source that gives pieces of random lengths, so that no boundary is where the validator would like it. */
function cut(bytes: Uint8Array, seed: number): ByteSource {
  const { below } = random(seed);
  const read = (at: number, most: number): Uint8Array =>
    bytes.subarray(at, at + Math.min(most, 1 + below(3_000_000)));
  return { size: bytes.length, read: async (at, most) => read(at, most) };
}

async function agree(bytes: Uint8Array, seed = 7): Promise<Validation> {
  let last: Validation | undefined;
  for (const all of [false, true]) {
    const options = { level: "canonical", all, warnings: false } as const;
    const whole = await validate(bytes, options);
    last = await validate(cut(bytes, seed), options);
    expect(summary(last), `all ${all}`).toEqual(summary(whole));
    const streamed = await validate(inPieces(bytes, 2_999_999), options);
    // A stream is left at the first error, so its length stays unknown.
    const { bytes: read } = streamed;
    expect(summary(streamed), `all ${all}, a stream`).toEqual({ ...summary(whole), bytes: read });
  }
  return last!;
}

/** Makes the checksum of every chunk right again, so that what is in it is looked at. */
async function sealChunks(bytes: Uint8Array): Promise<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const { modules, tensors } = (await open(bytes)).index;
  for (const { chunk } of [...modules, ...tensors]) {
    const end = chunk.offset + chunk.length - 4;
    view.setUint32(end, crc32(bytes.subarray(chunk.offset, end)), true);
  }
  return bytes;
}

const AFFINE: Encoding = { codec: "affine", bits: 3, group: 128, scale: "f16" };
const WHOLE: Encoding = { codec: "affine", bits: 5, group: 0, scale: "bf16" };
const SIGN: Encoding = { codec: "sign", group: 16, scale: "bf16" };
const RAW: Encoding = { codec: "raw", element: "f16" };

let file: Uint8Array;
let extents: readonly (ReturnType<typeof planeExtents> extends Generator<infer Extent> ? Extent : never)[];
let chunk: { readonly offset: number; readonly length: number };
beforeAll(async () => {
  // Odd lengths, so that every vector has unused bits, and planes have padding between them.
  const module = packed(shape("big", { out: 60_003, in: 50_001, rank: 52, alpha: 104 }), [
    { components: 8, b: AFFINE, a: SIGN },
    { components: 8, b: SIGN, a: WHOLE },
    { components: 36, b: RAW, a: { codec: "zero" } },
  ]);
  file = await fileBytes({ modules: [module], tensors: [], sections: [] });
  const [record] = (await open(file)).index.modules;
  extents = [...planeExtents(record!, record!.bands)];
  chunk = record!.chunk;
  expect(chunk.length).toBeGreaterThan(4 * 2 ** 20);
});

describe("a large chunk", () => {
  it("is sound in pieces as in memory", async () => {
    expect(await agree(file)).toMatchObject({ valid: true, level: "canonical" });
    for (const size of [1000, 3_000_001, file.length])
      expect(await validate(inPieces(file, size))).toMatchObject({ valid: true, bytes: file.length });
  });

  it("shows each kind of fault at the same byte", async () => {
    const { below } = random(3);
    const kinds = new Set<string>();
    for (const extent of extents) {
      const begin = chunk.offset + extent.offset;
      const bytes = file.slice();
      // A byte in the middle, the last byte of the plane, and whatever stands behind it.
      for (const at of [begin + below(extent.length), begin + extent.length - 1]) bytes[at] = 0xff;
      if (extent.plane === "scales") bytes.set([0, 0, 0, 0], begin);
      for (const { kind } of (await agree(await sealChunks(bytes), extent.offset)).findings) kinds.add(kind);
    }
    expect([...kinds]).toEqual(
      expect.arrayContaining(["PADDING_NONZERO", "SCALE_VALUE", "NONFINITE_VALUE", "SPAN_DIGEST"]),
    );
  });

  it("shows codes of groups whose scale is 0, whichever piece they are in", async () => {
    const bytes = file.slice();
    for (const { plane, offset, length } of extents)
      if (plane === "scales") bytes.fill(0, chunk.offset + offset, chunk.offset + offset + length);
    const { findings, omitted } = await agree(await sealChunks(bytes));
    expect(findings.some(({ kind }) => kind === "NONCANONICAL_CODES")).toBe(true);
    expect(findings).toHaveLength(1000);
    expect(omitted).toBeGreaterThan(0);
  });

  it("shows a scale that is not finite behind thousands of codes that are not canonical", async () => {
    const bytes = file.slice();
    const planes = extents.filter(({ plane }) => plane === "scales");
    for (const { offset, length } of planes)
      bytes.fill(0, chunk.offset + offset, chunk.offset + offset + length);
    const last = planes.at(-1)!;
    bytes.fill(0xff, chunk.offset + last.offset, chunk.offset + last.offset + last.length);
    const { findings } = await agree(await sealChunks(bytes));
    expect(findings.some(({ kind }) => kind === "SCALE_VALUE")).toBe(true);
    expect((await validate(bytes, { level: "canonical" })).error?.kind).toBe("SCALE_VALUE");
  });

  it("shows elements of plain tensors", async () => {
    const data = new Uint8Array(5 * 2 ** 20).fill(1);
    const bytes = await fileBytes({
      modules: [],
      tensors: [
        tensor("flags", { element: "BOOL", shape: [data.length], data }),
        tensor("floats", { shape: [data.length / 4], data }),
      ],
      sections: [],
      compressTensors: false,
    });
    expect(await agree(bytes)).toMatchObject({ valid: true });
    const { tensors } = (await open(bytes)).index;
    // Two in each, in other pieces: for a tensor the first is reported.
    for (const at of [5_000_000, 5_100_000, 5_242_000]) bytes[tensors[0]!.chunk.offset + at] = 2;
    for (const at of [4_000_000, 5_000_000]) bytes.set([0, 0, 0xc0, 0x7f], tensors[1]!.chunk.offset + at);
    const { findings } = await agree(await sealChunks(bytes));
    expect(findings.map(({ where }) => where)).toEqual(
      expect.arrayContaining(['tensor "flags", element 5000000', 'tensor "floats", element 1000000']),
    );
  });

  it("is damaged, cut short or too long in pieces as in memory", async () => {
    const bytes = file.slice();
    bytes[chunk.offset + 4_500_000]! ^= 1;
    expect((await agree(bytes)).error?.kind).toBe("CHUNK_CRC");
    expect((await agree(file.subarray(0, chunk.offset + 2_500_000))).error?.kind).toBe("TRUNCATED_FILE");
    const longer = new Uint8Array(file.length + 1);
    longer.set(file);
    expect((await agree(longer)).error?.kind).toBe("TRAILING_BYTES");
  });
});

describe("a large compressed chunk", () => {
  const data = new Uint8Array(5 * 2 ** 20).map((_, i) => (i % 4 === 0 ? i >> 12 : 0));
  const make = (): Promise<Uint8Array> =>
    fileBytes({
      modules: [],
      tensors: [tensor("floats", { shape: [data.length / 4], data }), tensor("small")],
      sections: [],
      compressTensors: true,
    });

  /** What the reader that holds it whole says: the first error, or the ids. */
  async function decoded(bytes: Uint8Array): Promise<unknown> {
    try {
      return await (await open(bytes)).verify();
    } catch (error) {
      if (!isLqaError(error)) throw error;
      return [error.kind, error.offset];
    }
  }

  it("is inflated in pieces, with the ids and the first error of a reader that holds it whole", async () => {
    const bytes = await make();
    const [record] = (await open(bytes)).index.tensors;
    expect(record!.compression).not.toBe("none");
    const { offset, length } = record!.chunk;
    const sound = await agree(bytes);
    expect(sound.ids).toEqual(await decoded(bytes));
    for (const at of sample([0, 5, 9, length - 4, length - 5, length >> 1, length >> 2], 3))
      for (const seal of [false, true]) {
        const damaged = bytes.slice();
        // The last four bytes are the checksum itself.
        if (seal && at >= length - 4) continue;
        damaged[offset + at]! ^= 0x41;
        if (seal) await sealChunks(damaged);
        const { error } = await agree(damaged);
        expect([error!.kind, error!.offset], `byte ${at}`).toEqual(await decoded(damaged));
      }
  });

  it("has its values looked at, told at its beginning", async () => {
    data.set([0, 0, 0xc0, 0x7f], 4_800_000);
    const bytes = await make();
    data.fill(0, 4_800_000, 4_800_004);
    const { findings } = await agree(bytes);
    const [record] = (await open(bytes)).index.tensors;
    expect(findings[0]).toMatchObject({ kind: "NONFINITE_VALUE", offset: record!.chunk.offset });
    expect(findings[0]!.where).toContain("element 1200000");
  });
});

describe("a module of very many bands", () => {
  const zero = { codec: "zero" } as const;
  const one: Encoding = { codec: "sign", group: 0, scale: "f16" };
  /** Alternately nothing, and three bytes. */
  const bands = Array.from({ length: 64 }, (_, i) => ({
    components: 1,
    b: zero,
    a: i % 2 === 0 ? one : zero,
  }));
  const module = packed(shape("m", { experts: 200, rank: 64, alpha: 128, out: 1, in: 1 }), bands);

  it("is scanned in memory too, and gives the same findings as one of few", async () => {
    const bytes = await fileBytes({ modules: [module], tensors: [], sections: [] });
    expect(await agree(bytes)).toMatchObject({ valid: true });
    const [record] = (await open(bytes)).index.modules;
    const faults = bytes.slice();
    // A scale of minus zero, unused bits of a code, a group whose scale is 0.
    const place = (expert: number, plane: "scales" | "codes"): number => {
      for (const extent of planeExtents(record!, record!.bands))
        if (extent.expert === expert && extent.plane === plane) return record!.chunk.offset + extent.offset;
      return -1;
    };
    faults.set([0, 0x80], place(0, "scales"));
    faults[place(5, "codes")] = 0xff;
    const { findings } = await agree(await sealChunks(faults));
    expect(findings.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(["PADDING_NONZERO", "SPAN_DIGEST"]),
    );
    const scale = bytes.slice();
    scale.set([0, 0x80], place(0, "scales"));
    expect((await agree(await sealChunks(scale))).findings[0]).toMatchObject({
      kind: "SCALE_VALUE",
      where: 'module "m", expert 0, band 0, A\' scales, component 0, group 0',
    });
  });

  it("whose bands are all empty takes no time for its experts", async () => {
    const empty = packed(shape("e", { experts: 1024, rank: 1, alpha: 2 }), [
      { components: 1, b: zero, a: zero },
    ]);
    const modules = Array.from({ length: 1000 }, (_, i) => ({ ...empty, name: `m${i}` }));
    const bytes = await fileBytes({ modules, tensors: [], sections: [] });
    expect(await agree(bytes)).toMatchObject({ valid: true });
  });
});
