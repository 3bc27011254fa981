/** The first and the last 64 bytes, byte by byte, what their errors say, and the checksums in them. */

import { sha256 as noble } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { builtin, nodeCrypto, nodeZlib } from "../../src/common/runtime.ts";
import { readTrailer, writeTrailer } from "../../src/core/container/digests.ts";
import { checkChunkCrc, chunkCrc, layOut } from "../../src/core/container/layout.ts";
import { readPrologue, writePrologue } from "../../src/core/container/prologue.ts";
import { isLqaError, type LimitSet, type Prologue } from "../../src/core/index.ts";
import { crc32, crc32Portable, createSha256, sha256, toHex } from "../helpers/parts.ts";

const prologue: Prologue = {
  major: 1,
  minor: 0x0203,
  required: 0x11,
  readOnlyCompatible: 0x04050607,
  compatible: 0x08090a0b,
  fileLength: 0x0c_0d0e0f10,
  indexLength: 0x111213,
  modules: 0x1415,
  tensors: 0x1617,
  sections: 0x18,
  alignment: 4096,
  indexCrc: 0x191a1b1c,
};
const fields =
  "894c51410d0a1a0a0100030211000000070605040b0a0908100f0e0d0c00000013121100151400001716000018000000" +
  "0c" +
  "00".repeat(7) +
  "1c1b1a19";

/** [kind, where, offset, expected, actual] of the error. */
function refusal(run: () => unknown): unknown[] | undefined {
  try {
    run();
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return [error.kind, error.where, error.offset, error.expected, error.actual];
  }
  return undefined;
}

describe("the prologue", () => {
  const bytes = writePrologue(prologue);

  test("has its fields where clause 5.1 says, little-endian", () => {
    expect(toHex(bytes.subarray(0, 60))).toBe(fields);
    expect(new DataView(bytes.buffer).getUint32(60, true)).toBe(crc32(bytes.subarray(0, 60)));
    expect(readPrologue(bytes, "core")).toEqual(prologue);
  });

  test("is refused with what was expected and what was found", () => {
    const damaged = bytes.slice();
    damaged[60]! ^= 1;
    const crc = (data: Uint8Array, at: number) =>
      `0x${new DataView(data.buffer).getUint32(at, true).toString(16).padStart(8, "0")}`;
    expect(refusal(() => readPrologue(damaged, "core"))).toEqual([
      "PROLOGUE_CRC",
      undefined,
      60,
      crc(bytes, 60),
      crc(damaged, 60),
    ]);
    // Bits 7 and 9 were START and PARENT in drafts.
    for (const required of [128, 256, 512])
      expect(refusal(() => readPrologue(writePrologue({ ...prologue, required }), "core"))).toEqual([
        "UNSUPPORTED_FEATURE",
        undefined,
        12,
        "no bits beyond 0x0000007f",
        `0x00000${required.toString(16).padStart(3, "0")}`,
      ]);
  });

  test.each([
    ["fileLength", 24, 2 ** 36, 2 ** 53 - 1],
    ["indexLength", 32, 2 ** 24, 2 ** 26],
    ["modules", 36, 2 ** 16, 2 ** 20],
    ["tensors", 40, 2 ** 16, 2 ** 20],
    ["sections", 44, 64, 1024],
  ] as const)(
    "%s is bounded by Core, or by Hard alone for a caller that asks for it",
    (field, offset, core, hard) => {
      const read = (value: number, limits: LimitSet) =>
        refusal(() => readPrologue(writePrologue({ ...prologue, [field]: value }), limits))?.slice(0, 3);
      expect(read(core, "core")).toBeUndefined();
      expect(read(core + 1, "core")).toEqual(["CORE_LIMIT", "prologue", offset]);
      expect(read(core + 1, "hard")).toBeUndefined();
      expect(read(hard, "hard")).toBeUndefined();
      expect(read(hard + 1, "core")).toEqual(["HARD_LIMIT", "prologue", offset]);
      expect(read(hard + 1, "hard")).toEqual(["HARD_LIMIT", "prologue", offset]);
    },
  );
});

describe("the trailer", () => {
  const trailer = { fileLength: 0x01_02030405, digestsLength: 0x06070809, indexLength: 0x0a0b0c0d };
  const rootDigest = Uint8Array.from({ length: 32 }, (_, i) => i);
  const bytes = writeTrailer({ rootDigest, ...trailer });

  test("has its fields where clause 11.4 says, little-endian", () => {
    expect(toHex(bytes.subarray(0, 52))).toBe(
      `${toHex(rootDigest)}050403020100000009080706${"0d0c0b0a"}00000000`,
    );
    expect(new DataView(bytes.buffer).getUint32(52, true)).toBe(crc32(bytes.subarray(0, 52)));
    expect(toHex(bytes.subarray(56))).toBe("0a1a0a0d41514c89");
    expect(readTrailer(bytes, 1000, trailer)).toEqual(rootDigest);
  });

  test("names the field that contradicts the prologue", () => {
    const changed = (at: number, change: (view: DataView) => void) => {
      const other = bytes.slice();
      const view = new DataView(other.buffer);
      change(view);
      if (at < 52) view.setUint32(52, crc32(other.subarray(0, 52)), true);
      return refusal(() => readTrailer(other, 1000, trailer))?.slice(0, 3);
    };
    const mismatch = (name: string, offset: number) => ["TRAILER_MISMATCH", `trailer ${name}`, offset];
    expect(changed(32, (view) => view.setUint8(39, 1))).toEqual(mismatch("file length", 1032));
    expect(changed(40, (view) => view.setUint8(43, 1))).toEqual(mismatch("digest list length", 1040));
    expect(changed(44, (view) => view.setUint8(47, 1))).toEqual(mismatch("index length", 1044));
    expect(changed(48, (view) => view.setUint8(51, 1))).toEqual(mismatch("reserved bytes", 1048));
    expect(changed(56, (view) => view.setUint8(63, 1))).toEqual(mismatch("closing magic", 1056));
    expect(changed(52, (view) => view.setUint8(52, view.getUint8(52) ^ 1))?.slice(0, 3)).toEqual([
      "TRAILER_CRC",
      undefined,
      1052,
    ]);
  });
});

test("chunks are laid out one after the other, and spans of 32 KiB cover them", () => {
  const { chunks, spans, digests, trailer, fileLength } = layOut(100, [10, 32750, 5, 40000, 1], 16);
  expect(chunks.map(({ offset }) => offset)).toEqual([176, 192, 32944, 32960, 72960]);
  expect(spans).toEqual([
    [0, 2],
    [2, 4],
    [4, 5],
  ]);
  expect(digests).toEqual({ offset: 72976, length: 128 });
  expect(trailer).toEqual({ offset: 73104, length: 64 });
  expect(fileLength).toBe(73168);
});

test("the CRC-32 of a chunk passes, or is refused with both values", () => {
  const stored = chunkCrc(Uint8Array.of(1, 2, 3));
  expect(toHex(stored)).toBe("1d80bc55");
  expect(checkChunkCrc(0x55bc801d, stored, 9, "module 1")).toBe(true);
  expect(refusal(() => checkChunkCrc(5, stored, 9, "module 1"))).toEqual([
    "CHUNK_CRC",
    "module 1",
    9,
    "0x00000005",
    "0x55bc801d",
  ]);
});

describe("CRC-32", () => {
  test("the check value of the catalogue of CRCs", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
    expect(crc32Portable(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
  });
  test("portable and native agree, whole or in pieces", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
        expect(crc32Portable(bytes)).toBe(crc32(bytes));
        expect(crc32Portable(bytes.subarray(cut), crc32Portable(bytes.subarray(0, cut)))).toBe(crc32(bytes));
      }),
    );
  });
});

test.each([["native"], ["portable"]])("the digest so far can be had, and the %s hasher goes on", (kind) => {
  const hash = kind === "native" ? createSha256() : createSha256(null);
  for (let length = 0; length < 200; length += 40) {
    expect(hash.snapshot()).toEqual(noble(new Uint8Array(length).fill(7)));
    hash.update(new Uint8Array(40).fill(7));
  }
  expect(hash.digest()).toEqual(noble(new Uint8Array(200).fill(7)));
});

test("modules of Node are there where a host has them, and else undefined", () => {
  expect(builtin("node:zlib")).toBe(process.getBuiltinModule("node:zlib"));
  expect(nodeZlib).toBe(process.getBuiltinModule("node:zlib"));
  expect(nodeCrypto).toBe(process.getBuiltinModule("node:crypto"));
  expect(builtin("node:zlib", {})).toBeUndefined();
  const refuses = () => {
    throw new Error("not here");
  };
  expect(builtin("node:zlib", { getBuiltinModule: refuses })).toBeUndefined();
});

test("SHA-256 is the same natively and portably", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 4 }), (pieces) => {
      const joined = Uint8Array.from(pieces.flatMap((p) => [...p]));
      expect(toHex(sha256(...pieces))).toBe(toHex(noble(joined)));
    }),
  );
});
