import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { packCodes, packedBytes, unpackCodes, unusedBits } from "../helpers/parts.ts";

const vector = fc
  .integer({ min: 1, max: 8 })
  .chain((bits) =>
    fc.tuple(
      fc.constant(bits),
      fc.array(fc.integer({ min: 0, max: (1 << bits) - 1 }), { minLength: 1, maxLength: 70 }),
    ),
  );

describe("bit strings", () => {
  it("puts code i at bits i·b … of the vector, least significant bit first", () => {
    fc.assert(
      fc.property(vector, ([bits, codes]) => {
        const packed = new Uint8Array(packedBytes(codes.length, bits)).fill(0xff);
        packCodes(Uint8Array.from(codes), 0, codes.length, bits, packed, 0);
        let expected = 0n;
        codes.forEach((code, i) => {
          expected |= BigInt(code) << BigInt(i * bits);
        });
        packed.forEach((byte, i) => {
          expect(BigInt(byte)).toBe((expected >> BigInt(8 * i)) & 0xffn);
        });
      }),
    );
  });

  it("unpacks what it packed, at any offset, and touches no neighbour", () => {
    fc.assert(
      fc.property(vector, fc.nat(9), fc.nat(9), ([bits, codes], at, from) => {
        const bytes = packedBytes(codes.length, bits);
        const source = new Uint8Array(from + codes.length + 3);
        source.set(codes, from);
        const packed = new Uint8Array(at + bytes + 2).fill(0xa5);
        packCodes(source, from, codes.length, bits, packed, at);
        expect([...packed.subarray(0, at), ...packed.subarray(at + bytes)]).toEqual(Array(at + 2).fill(0xa5));
        const back = new Uint8Array(from + codes.length + 2).fill(0x5a);
        unpackCodes(packed, at, codes.length, bits, back, from);
        expect([...back.subarray(from, from + codes.length)]).toEqual(codes);
        expect([...back.subarray(0, from), ...back.subarray(from + codes.length)]).toEqual(
          Array(from + 2).fill(0x5a),
        );
      }),
    );
  });

  it("names the bits that no code uses", () => {
    expect(unusedBits(8, 3)).toBe(0);
    expect(unusedBits(7, 1)).toBe(0b1000_0000);
    expect(unusedBits(3, 3)).toBe(0b1111_1110);
    expect(unusedBits(5, 8)).toBe(0);
  });
});
