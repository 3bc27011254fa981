import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { isLqaError, open, type ValidationLevel, validate } from "../../src/core/index.ts";
import {
  AFFINE2,
  bands,
  fileBytes,
  packed,
  SIGN,
  section,
  shape,
  smallInput,
  tensor,
} from "../container/fixtures.ts";
import { numbers } from "../helpers/thorough.ts";

let small: Uint8Array;
beforeAll(async () => {
  small = await fileBytes(smallInput());
});

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const sha256 = (...parts: Uint8Array[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest("hex");
const first = async (bytes: Uint8Array, level: ValidationLevel = "canonical"): Promise<string> =>
  (await validate(bytes, { level })).error?.kind ?? "valid";

describe("a file", () => {
  test("is valid, and opens with its modules in natural order", async () => {
    expect(await validate(small, { level: "canonical" })).toMatchObject({ valid: true, error: undefined });
    const file = await open(small);
    expect(file.modules.map((m) => m.name)).toEqual(["conv", "layers.2.q", "layers.10.q", "moe"]);
    expect(file.tensors.map((t) => `${t.name} ${t.role}`)).toEqual([
      "classifier.weight replace",
      "classifier.weight carried",
      "embed token-rows",
      "embed token-indices",
      "layers.2.q magnitude",
      "zeros replace",
    ]);
    expect(await file.meta()).toEqual({ a: 1 });
    expect(file.prologue).toMatchObject({
      major: 1,
      minor: 0,
      required: 1 | 4 | 8 | 16,
      modules: 4,
      tensors: 6,
      sections: 2,
    });
  });

  test("gives back records, planes and tensors as they were written", async () => {
    const input = smallInput();
    const file = await open(small);
    for (const module of input.modules) {
      const record = file.module(module.name);
      const { planes, ...expected } = module;
      expect(record).toMatchObject(expected);
      expect((await file.packed(record)).planes).toEqual(planes);
    }
    for (const t of input.tensors) {
      const record = file.tensors.find((r) => r.name === t.name && r.role === t.role)!;
      expect(await file.tensor(record)).toEqual(t);
    }
  });

  test("does not depend on the order in which its parts are given", async () => {
    const input = smallInput();
    const reversed = {
      modules: [...input.modules].reverse(),
      tensors: [...input.tensors].reverse(),
      sections: [...input.sections].reverse(),
    };
    expect(await fileBytes(reversed)).toEqual(small);
  });

  test("has one content id whatever its metadata, alignment and compression", async () => {
    const input = smallInput();
    const a = await open(small);
    const b = await open(await fileBytes({ ...input, sections: [], alignment: 256 }));
    const ids = await a.storedIds();
    expect((await b.storedIds()).contentId).toBe(ids.contentId);
    expect((await b.storedIds()).fileId).not.toBe(ids.fileId);
    const c = await open(
      await fileBytes({
        ...input,
        modules: input.modules.map((m) => ({
          ...m,
          multiplier: Math.fround(m.multiplier * 2),
          rule: "explicit" as const,
        })),
      }),
    );
    expect((await c.storedIds()).contentId).not.toBe(ids.contentId);
  });

  test("may be empty", async () => {
    const empty = await fileBytes({ modules: [], tensors: [], sections: [] });
    expect(await first(empty)).toBe("valid");
    expect((await open(empty)).modules).toEqual([]);
  });

  test.each([4, 8, 16, 64, 4096])("aligns its chunks to %i", async (alignment) => {
    const bytes = await fileBytes({ ...smallInput(), alignment });
    const file = await open(bytes);
    expect(await first(bytes)).toBe("valid");
    for (const { chunk } of [...file.modules, ...file.tensors, ...file.sections])
      expect(chunk.offset % alignment).toBe(0);
  });

  test("ids are what the specification says, recomputed", async () => {
    const file = await open(small);
    const { digests, trailer, spans } = file.index;
    const list = small.subarray(digests.offset, digests.offset + digests.length);
    const index = small.subarray(64, 64 + file.prologue.indexLength);
    const ids = await file.storedIds();
    expect(ids.fileId).toBe(sha256(small.subarray(0, 64), index, list));
    expect(ids.fileId).toBe(toHex(small.subarray(trailer.offset, trailer.offset + 32)));
    const chunks = [...file.modules, ...file.tensors, ...file.sections].map((r) => r.chunk);
    spans.forEach(([from, to], i) => {
      const unit = file.prologue.alignment;
      const end = unit * Math.ceil((chunks[to - 1]!.offset + chunks[to - 1]!.length) / unit);
      expect(toHex(list.subarray(32 * (i + 1), 32 * (i + 2)))).toBe(
        sha256(small.subarray(chunks[from]!.offset, end)),
      );
    });
    expect(await file.verify()).toEqual(ids);
  });

  test("spans close after 32 KiB of chunks", async () => {
    const big = (name: string): ReturnType<typeof packed> =>
      packed(shape(name, { out: 20_000, in: 20_000, rank: 1, alpha: 2 }), [
        { components: 1, b: { ...AFFINE2, bits: 4 } as never, a: SIGN },
      ]);
    const bytes = await fileBytes({
      modules: ["a", "b", "c", "d", "e", "f"].map(big),
      tensors: [],
      sections: [],
    });
    const file = await open(bytes);
    // 12.8 KB each: three to a span
    expect(file.index.spans).toEqual([
      [0, 3],
      [3, 6],
    ]);
    await file.verify();
  });
});

describe("damage", () => {
  test("every truncation is found, and says so", async () => {
    for (const end of numbers(0, small.length - 1, 5)) {
      const kind = await first(small.slice(0, end));
      expect(kind, `cut at ${end}`).toBe(end < 64 ? "TRUNCATED_PROLOGUE" : "TRUNCATED_FILE");
    }
  });

  test("every single-bit flip is found at level integrity", async () => {
    for (const at of numbers(0, small.length - 1, 5)) {
      const mutated = small.slice();
      mutated[at]! ^= 1 << (at % 8);
      const { error } = await validate(mutated, { level: "integrity" });
      expect(error, `byte ${at}`).toBeDefined();
      expect(isLqaError(error)).toBe(true);
      await open(mutated).then(
        (file) => expect(file.adapter(), `byte ${at}`).rejects.toThrow(/LQA-/),
        (opening) => expect(isLqaError(opening)).toBe(true),
      );
    }
  });

  test("a module whose chunk is damaged is not handed out, the others are", async () => {
    const file = await open(small);
    const mutated = small.slice();
    const record = file.module("layers.2.q");
    mutated[record.chunk.offset + 3]! ^= 0x10;
    const damaged = await open(mutated);
    await expect(damaged.decode("layers.2.q")).rejects.toThrow(/LQA-I003 CHUNK_CRC.*layers\.2\.q/);
    expect((await damaged.decode("moe")).b).toEqual((await file.decode("moe")).b);
  });

  test("trailing bytes are refused", async () => {
    const longer = Uint8Array.of(...small, 0);
    expect(await first(longer)).toBe("TRAILING_BYTES");
    expect(await first(longer, "structure")).toBe("TRAILING_BYTES");
    await expect(open(longer)).rejects.toThrow(/LQA-M006/);
  });

  test.each([
    [
      "line feeds became carriage return, line feed",
      [0x89, 0x4c, 0x51, 0x41, 0x0d, 0x0d, 0x0a, 0x1a],
      "MAGIC_TEXT_DAMAGE",
    ],
    [
      "the file was re-encoded as UTF-8",
      [0xc2, 0x89, 0x4c, 0x51, 0x41, 0x0d, 0x0a, 0x1a],
      "MAGIC_TEXT_DAMAGE",
    ],
    ["it is a ZIP archive", [0x50, 0x4b, 3, 4, 0, 0, 0, 0], "BAD_MAGIC"],
  ])("%s", async (_, head, kind) =>
    expect(await first(Uint8Array.of(...head, ...small.subarray(8)))).toBe(kind),
  );
});

test("a pointer of Git LFS is called so", async () => {
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
  await expect(open(new TextEncoder().encode(pointer))).rejects.toMatchObject({
    kind: "BAD_MAGIC",
    actual: "a Git LFS pointer",
    advice: "Fetch the file itself: run git lfs pull.",
  });
});

/** Changes bytes of the index or prologue and repairs both CRCs, so that only the meaning is wrong. */
function forge(change: (bytes: Uint8Array, view: DataView) => void): Uint8Array {
  const bytes = small.slice();
  const view = new DataView(bytes.buffer);
  change(bytes, view);
  const indexLength = view.getUint32(32, true);
  view.setUint32(56, crc32(bytes.subarray(64, 64 + indexLength)), true);
  view.setUint32(60, crc32(bytes.subarray(0, 60)), true);
  return bytes;
}

describe("lies with correct checksums", () => {
  test.each<[string, (bytes: Uint8Array, view: DataView) => void, string]>([
    ["another major version", (_, v) => v.setUint16(8, 2, true), "UNSUPPORTED_VERSION"],
    ["an unknown required feature", (_, v) => v.setUint32(12, 1 << 31, true), "UNSUPPORTED_FEATURE"],
    [
      "a required feature it does not use",
      (_, v) => v.setUint32(12, v.getUint32(12, true) & ~4, true),
      "FEATURE_BITS",
    ],
    ["a reserved byte", (b) => void (b[50] = 1), "PROLOGUE_RESERVED_NONZERO"],
    ["alignment 2", (b) => void (b[48] = 1), "ALIGNMENT_OUT_OF_RANGE"],
    ["alignment 2^40", (b) => void (b[48] = 40), "ALIGNMENT_OUT_OF_RANGE"],
    ["a file length of 2^60", (_, v) => v.setBigUint64(24, 1n << 60n, true), "HARD_LIMIT"],
    ["a file length of 1 TiB", (_, v) => v.setBigUint64(24, 1n << 40n, true), "CORE_LIMIT"],
    [
      "a file length one too small",
      (_, v) => v.setBigUint64(24, v.getBigUint64(24, true) - 4n, true),
      "FILE_LENGTH_MISMATCH",
    ],
    ["2^32 - 1 modules", (_, v) => v.setUint32(36, 0xffffffff, true), "HARD_LIMIT"],
    ["one module more than there is", (_, v) => v.setUint32(36, 5, true), "COUNT_MISMATCH"],
  ])("%s", async (_, change, kind) => expect(await first(forge(change))).toBe(kind));

  test("an unknown compatible feature and a later minor version are read", async () => {
    const bytes = forge((_, v) => {
      v.setUint32(20, 0x80, true);
      v.setUint16(10, 9, true);
    });
    expect((await validate(bytes, { level: "structure" })).valid).toBe(true);
    expect((await open(bytes)).modules.length).toBe(4);
  });
});

describe("what a writer refuses", () => {
  const one = (module: ReturnType<typeof packed>): Promise<unknown> =>
    fileBytes({ modules: [module], tensors: [], sections: [] });
  test.each<[string, () => Promise<unknown>, RegExp]>([
    [
      "two modules of one name",
      () =>
        fileBytes({
          modules: [packed(shape("a"), bands(1, 3)), packed(shape("a"), bands(1, 3))],
          tensors: [],
          sections: [],
        }),
      /NAME_ORDER/,
    ],
    [
      "a multiplier that its alpha contradicts",
      () => one(packed(shape("a", { multiplier: 3 }), bands(1, 3))),
      /MULTIPLIER/,
    ],
    [
      "an infinite multiplier",
      () => one(packed(shape("a", { multiplier: Infinity, rule: "explicit" }), bands(1, 3))),
      /MULTIPLIER/,
    ],
    [
      "neighbouring bands that are one",
      () => one(packed(shape("a"), [...bands(1, 1).slice(0, 1), { components: 3, b: AFFINE2, a: AFFINE2 }])),
      /BAND_PLAN/,
    ],
    [
      "a rank above the limit",
      () => one(packed(shape("a", { rank: 5000, alpha: 10000, out: 1, in: 1 }), bands(2500, 2500))),
      /HARD_LIMIT/,
    ],
    [
      "kernel sizes of a linear layer",
      () => one(packed(shape("a", { kernel: [3] }), bands(1, 3))),
      /CHUNK_LENGTH_MISMATCH|ROLE_SHAPE/,
    ],
    [
      "a magnitude without its module",
      () =>
        fileBytes({
          modules: [],
          tensors: [tensor("x", { role: "magnitude", shape: [24] })],
          sections: [],
        }),
      /TENSOR_RECORD/,
    ],
    [
      "token rows without indices",
      () =>
        fileBytes({
          modules: [],
          tensors: [tensor("x", { role: "token-rows", shape: [2, 2] })],
          sections: [],
        }),
      /TENSOR_RECORD/,
    ],
    [
      "two sections of one type",
      () =>
        fileBytes({
          modules: [],
          tensors: [],
          sections: [section("ABCD", new Uint8Array(1)), section("ABCD", new Uint8Array(1))],
        }),
      /SECTION_ORDER/,
    ],
    [
      "an unknown critical section",
      () =>
        fileBytes({
          modules: [],
          tensors: [],
          sections: [section("ABCD", new Uint8Array(1), { critical: true })],
        }),
      /UNSUPPORTED_SECTION/,
    ],
    [
      "a private critical section",
      () =>
        fileBytes({
          modules: [],
          tensors: [],
          sections: [section("abcd", new Uint8Array(1), { critical: true })],
        }),
      /SECTION_RECORD/,
    ],
  ])("%s", async (_, make, message) => expect(make()).rejects.toThrow(message));
});

describe("values", () => {
  const withScale = async (bits: number): Promise<Uint8Array> => {
    const module = packed(shape("a"), bands(1, 3));
    new DataView(module.planes[0]![0]!.b.scales.buffer).setUint16(0, bits, true);
    return fileBytes({ modules: [module], tensors: [], sections: [] });
  };
  test.each([
    ["negative", 0x8400],
    ["minus zero", 0x8000],
    ["infinite", 0x7c00],
    ["not a number", 0x7e00],
  ])("a scale that is %s is invalid, though intact", async (_, bits) => {
    const bytes = await withScale(bits);
    expect(await first(bytes, "integrity")).toBe("valid");
    const { error } = await validate(bytes);
    expect(error?.kind).toBe("SCALE_VALUE");
    expect(bytes[error!.offset! + 1]).toBe(bits >> 8);
  });
  test("a zero scale with codes that are not zero is valid but not canonical", async () => {
    const bytes = await withScale(0);
    expect(await first(bytes, "values")).toBe("valid");
    expect(await first(bytes)).toBe("NONCANONICAL_CODES");
  });
  test("a tensor that holds NaN must be declared", async () => {
    const data = new Uint8Array(new Float32Array([1, NaN, 2, 3, 4, 5]).buffer);
    const bytes = await fileBytes({ modules: [], tensors: [tensor("t", { data })], sections: [] });
    const { error } = await validate(bytes);
    expect(error?.kind).toBe("NONFINITE_VALUE");
    expect(error?.where).toContain("element 1");
  });
});

describe("what an independent reader found", () => {
  test("two equal module types are refused", async () => {
    const other = await fileBytes({
      modules: [packed(shape("a"), bands(1, 3)), packed(shape("b", { out: 32 }), bands(1, 3))],
      tensors: [],
      sections: [],
    });
    const view = new DataView(other.buffer);
    const file = await open(other);
    // out of the second type, 32 to 24: now it equals the first
    const at = [...Array(file.prologue.indexLength / 4).keys()]
      .map((i) => 64 + 4 * i)
      .find((i) => view.getUint32(i, true) === 32 && view.getUint32(i + 4, true) === 40)!;
    view.setUint32(at, 24, true);
    view.setUint32(56, crc32(other.subarray(64, 64 + file.prologue.indexLength)), true);
    view.setUint32(60, crc32(other.subarray(0, 60)), true);
    expect(await first(other)).toBe("RECORD_REFERENCE");
  });

  test("an unused bit is padding: found at level integrity, before any value", async () => {
    const module = packed(shape("a", { out: 25, in: 41 }), bands(1, 3));
    module.planes[0]![1]!.b.codes[3]! |= 0x80;
    const bytes = await fileBytes({ modules: [module], tensors: [], sections: [] });
    expect(await first(bytes, "integrity")).toBe("PADDING_NONZERO");
  });

  test("META is not compressed, whatever the compression", async () => {
    const zstdMeta = fileBytes({
      modules: [],
      tensors: [],
      sections: [section("META", new Uint8Array(500), { compress: true })],
    });
    await expect(zstdMeta).rejects.toThrow(/SECTION_RECORD/);
  });

  test("a truth value is 0 or 1", async () => {
    const bytes = await fileBytes({
      modules: [],
      tensors: [tensor("t", { element: "BOOL", shape: [3], data: Uint8Array.of(0, 1, 2) })],
      sections: [],
    });
    expect(await first(bytes, "integrity")).toBe("valid");
    const { error } = await validate(bytes);
    expect(error?.kind).toBe("TENSOR_RECORD");
    expect(bytes[error!.offset!]).toBe(2);
  });

  test("a few hundred bytes that declare gigabytes of zeros are not decoded without leave", async () => {
    const zero = [{ components: 4096, b: { codec: "zero" }, a: { codec: "zero" } }] as const;
    const bytes = await fileBytes({
      modules: [packed(shape("a", { rank: 4096, out: 2 ** 25, in: 1, rule: "explicit" }), zero)],
      tensors: [],
      sections: [],
    });
    expect(bytes.length).toBeLessThan(400);
    const file = await open(bytes, { limits: "hard" });
    await expect(file.decode("a")).rejects.toThrow(/LQA-L003 BUDGET/);
    await expect(file.adapter()).rejects.toThrow(/LQA-L003 BUDGET/);
  });
});
