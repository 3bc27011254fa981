/** Conversions of floats, and of codes to strings of bits, against their definitions, with numbers on both sides of every edge. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bf16ToNumber,
  bitsToNumber,
  f16ToNumber,
  f32BitsToF16,
  f64ToF16,
  numberToBf16,
  numberToBits,
  numberToF16,
  packCodes,
  packedBytes,
  readBits,
  readElement,
  unpackCodes,
  unusedBits,
  writeBits,
} from "../../src/floats.ts";

/** The number of a binary16 or bfloat16 pattern by its definition. */
function defined(bits: number, fractionBits: number, bias: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const ones = (0x7fff >> fractionBits) & 0xff;
  const exponent = (bits & 0x7fff) >> fractionBits;
  const fraction = (bits & ((1 << fractionBits) - 1)) / 2 ** fractionBits;
  if (exponent === ones) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias);
  return sign * (1 + fraction) * 2 ** (exponent - bias);
}

const FORMATS = [
  { name: "f16", toNumber: f16ToNumber, fromNumber: numberToF16, fraction: 10, bias: 15, infinity: 0x7c00 },
  {
    name: "bf16",
    toNumber: bf16ToNumber,
    fromNumber: numberToBf16,
    fraction: 7,
    bias: 127,
    infinity: 0x7f80,
  },
] as const;

describe.each(FORMATS)("$name", ({ toNumber, fromNumber, fraction, bias, infinity }) => {
  it("converts to the numbers of its definition, and back", () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const number = toNumber(bits);
      if (!Object.is(number, defined(bits, fraction, bias)))
        expect.fail(`0x${bits.toString(16)} is ${number}`);
      const back = fromNumber(number);
      if (Number.isNaN(number) ? (back & 0x7fff) <= infinity : back !== bits)
        expect.fail(`0x${bits.toString(16)} comes back as 0x${back.toString(16)}`);
    }
  });

  it("rounds to the nearest, and from the middle to the even one", () => {
    // What follows the largest finite number would be infinity's place on the line.
    const next = (bits: number) =>
      bits + 1 === infinity ? 2 * toNumber(bits) - toNumber(bits - 1) : toNumber(bits + 1);
    for (let bits = 0; bits < infinity; bits++) {
      const middle = (toNumber(bits) + next(bits)) / 2;
      // Binary32 has a number next to each midpoint except for bfloat16's subnormals.
      const step = Math.max(middle * 2 ** -23, 2 ** -149);
      const even = bits % 2 === 0 ? bits : bits + 1;
      const wanted = [middle - step >= toNumber(bits) ? bits : even, even, bits + 1];
      const found = [middle - step, middle, middle + step].map(fromNumber);
      if (found.some((x, i) => x !== wanted[i])) expect.fail(`around ${middle}: ${found}, not ${wanted}`);
      const mirrored = [middle - step, middle, middle + step].map((x) => fromNumber(-x) ^ 0x8000);
      if (mirrored.some((x, i) => x !== found[i]))
        expect.fail(`around ${-middle}: ${mirrored}, not ${found}`);
    }
  });
});

it("a NaN stays one, quiet, with the upper bits of its payload", () => {
  expect(f32BitsToF16(0x7f800001)).toBe(0x7e00);
  expect(f32BitsToF16(0xffc02000 | 0)).toBe(0xfe01);
  expect(f32BitsToF16(0x7fffe000)).toBe(0x7fff);
  expect(f32BitsToF16(0x7f800000)).toBe(0x7c00);
  expect(numberToBf16(Number.NaN) & 0x7fc0).toBe(0x7fc0);
});

describe("binary64 to binary16 in one step", () => {
  it("is what binary32 gives, where binary32 is exact", () => {
    for (let bits = 0; bits < 0x10000; bits += 3) {
      const number = f16ToNumber(bits);
      if (!Number.isNaN(number)) expect(f64ToF16(number)).toBe(bits);
    }
    expect(f64ToF16(Number.NaN) & 0x7e00).toBe(0x7e00);
    expect(f64ToF16(-0)).toBe(0x8000);
  });

  it("keeps to the side of a middle that the number is on", () => {
    for (const bits of [0, 1, 2, 0x3c00, 0x3c01, 0x7bfe, 0x7bff]) {
      const middle = bits === 0x7bff ? 65520 : (f16ToNumber(bits) + f16ToNumber(bits + 1)) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      for (const sign of [1, -1]) {
        const mark = sign < 0 ? 0x8000 : 0;
        expect(f64ToF16(sign * middle * (1 - 2 ** -50))).toBe(mark | bits);
        expect(f64ToF16(sign * middle)).toBe(mark | even);
        expect(f64ToF16(sign * middle * (1 + 2 ** -50))).toBe(mark | (bits + 1));
      }
    }
    expect(f64ToF16(1e300)).toBe(0x7c00);
    expect(f64ToF16(1e-300)).toBe(0);
  });
});

describe("elements of a plane", () => {
  it.each(["f32", "f16", "bf16"] as const)(
    "%s are written and read at any offset, and nothing outside them",
    (type) => {
      const size = type === "f32" ? 4 : 2;
      const numbers = [0, -0, 1, -1.5, 3.140625, 2 ** -14, -65504];
      for (const shift of [0, 1, 2, 3]) {
        const plane = new Uint8Array(shift + size * numbers.length + 4).fill(0x5a).subarray(shift);
        for (const [i, number] of numbers.entries()) writeBits(plane, type, i, numberToBits(number, type));
        const exact = numbers.map((number) => bitsToNumber(numberToBits(number, type), type));
        if (type !== "bf16") expect(exact).toEqual(numbers);
        expect(numbers.map((_, i) => readElement(plane, type, i))).toEqual(exact);
        expect(numbers.map((_, i) => readBits(plane, type, i))).toEqual(
          numbers.map((x) => numberToBits(x, type)),
        );
        expect([...plane.subarray(size * numbers.length)]).toEqual([0x5a, 0x5a, 0x5a, 0x5a]);
      }
    },
  );

  it("have the bytes of little-endian numbers", () => {
    const plane = new Uint8Array(8);
    writeBits(plane, "f32", 1, 0xbf8040ff);
    expect([...plane]).toEqual([0, 0, 0, 0, 0xff, 0x40, 0x80, 0xbf]);
    expect(numberToBits(1, "f32")).toBe(0x3f800000);
    expect(numberToBits(1, "f16")).toBe(0x3c00);
    expect(numberToBits(1, "bf16")).toBe(0x3f80);
  });
});

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
