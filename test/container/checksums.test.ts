import { sha256 as noble } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { builtin, nodeCrypto, nodeZlib } from "../../src/core/container/runtime.ts";
import { crc32, crc32Portable, createSha256, sha256, toHex } from "../helpers/parts.ts";

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
