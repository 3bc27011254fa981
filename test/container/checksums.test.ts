import { sha256 as noble } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crc32, crc32Portable } from "../../src/container/crc32.ts";
import { sha256, toHex } from "../../src/container/sha256.ts";

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

test("SHA-256 is the same natively and portably", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 4 }), (pieces) => {
      const joined = Uint8Array.from(pieces.flatMap((p) => [...p]));
      expect(toHex(sha256(...pieces))).toBe(toHex(noble(joined)));
    }),
  );
});
