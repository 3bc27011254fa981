import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodePlanes, planeSizes } from "../../src/core/format.ts";
import { type Encoding, isLqaError, type Planes } from "../../src/core/index.ts";
import { numberToF16 } from "../helpers/floats.ts";
import { expectedWeight, samples } from "./planes.ts";

const none = new Uint8Array(0);
const planes = (parts: Partial<Planes>): Planes => ({
  scales: none,
  zeroPoints: none,
  codes: none,
  ...parts,
});
const rows = (length: number) => ({ offset: 0, componentStride: length, weightStride: 1 });

function decodeOne(encoding: Encoding, parts: Partial<Planes>, length: number): number[] {
  const target = new Float32Array(length);
  decodePlanes(encoding, planes(parts), 1, length, target, rows(length));
  return [...target];
}

describe("the reference decoder", () => {
  it("gives the binary32 value the rules give, and its binary16 rounding", () => {
    fc.assert(
      fc.property(samples, (sample) => {
        const { encoding, components, length } = sample;
        const f32 = new Float32Array(components * length);
        const f16 = new Uint16Array(components * length);
        decodePlanes(encoding, sample.planes, components, length, f32, rows(length));
        decodePlanes(encoding, sample.planes, components, length, f16, rows(length));
        for (let c = 0; c < components; c++) {
          for (let i = 0; i < length; i++) {
            const expected = expectedWeight(sample, c, i);
            const half = f16[c * length + i]!;
            const rounded = Number.isNaN(expected)
              ? (half & 0x7fff) > 0x7c00
              : half === numberToF16(expected);
            if (!rounded || !Object.is(f32[c * length + i], expected))
              expect.fail(`weight ${i} of component ${c}: ${f32[c * length + i]}, ${half}, not ${expected}`);
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it("decodes to any placement the same weights, and writes nothing else", () => {
    fc.assert(
      fc.property(samples, fc.nat(5), fc.nat(3), (sample, offset, gap) => {
        const { encoding, components, length } = sample;
        const plain = new Uint16Array(components * length);
        decodePlanes(encoding, sample.planes, components, length, plain, rows(length));
        const rank = components + gap;
        const placed = new Uint16Array(offset + rank * length).fill(0x1234);
        const at = { offset, componentStride: 1, weightStride: rank };
        decodePlanes(encoding, sample.planes, components, length, placed, at);
        const expected = new Uint16Array(placed.length).fill(0x1234);
        for (let c = 0; c < components; c++) {
          for (let i = 0; i < length; i++) expected[offset + c + i * rank] = plain[c * length + i]!;
        }
        expect(placed).toEqual(expected);
      }),
    );
  });

  it("keeps the IEEE sign of a zero scale", () => {
    const scales = Uint8Array.of(0, 0);
    expect(
      decodeOne({ codec: "sign", group: 16, scale: "f16" }, { scales, codes: Uint8Array.of(2) }, 2),
    ).toEqual([0, -0]);
    const affine: Encoding = { codec: "affine", bits: 1, group: 16, scale: "f16" };
    const zeroPoints = Uint8Array.of(1);
    expect(decodeOne(affine, { scales, zeroPoints, codes: Uint8Array.of(2) }, 2)).toEqual([-0, 0]);
  });

  it("decodes long trellis vectors", () => {
    for (const table of [1, 6]) {
      const encoding: Encoding = { codec: "trellis", table, group: 0, scale: "bf16", rotation: "none" };
      const sizes = planeSizes(encoding, 1, 3001);
      const codes = Uint8Array.from({ length: sizes.codes }, (_, i) => (i * 151) ^ (i >> 3));
      const scales = Uint8Array.of(0x4a, 0x3c);
      const f32 = new Float32Array(3001);
      const f16 = new Uint16Array(3001);
      const sample = { encoding, components: 1, length: 3001, planes: planes({ scales, codes }) };
      decodePlanes(encoding, sample.planes, 1, 3001, f32, rows(3001));
      decodePlanes(encoding, sample.planes, 1, 3001, f16, rows(3001));
      for (let i = 0; i < 3001; i++) {
        expect(f32[i]).toBe(expectedWeight(sample, 0, i));
        expect(f16[i]).toBe(numberToF16(f32[i]!));
      }
    }
  });

  it("refuses an unknown trellis table, a target that is too small and planes of a wrong length", () => {
    const kindOf = (run: () => void): string => {
      try {
        run();
      } catch (error) {
        return isLqaError(error) ? error.kind : (error as Error).name;
      }
      return "nothing";
    };
    const target = new Float32Array(3);
    const trellis: Encoding = { codec: "trellis", table: 7, group: 0, scale: "bf16", rotation: "none" };
    expect(kindOf(() => decodePlanes(trellis, planes({}), 1, 3, target, rows(3)))).toBe("UNSUPPORTED_CODEC");
    expect(kindOf(() => decodePlanes({ codec: "zero" }, planes({}), 1, 4, target, rows(4)))).toBe(
      "TARGET_SIZE",
    );
    const codes = new Uint8Array(5);
    expect(
      kindOf(() => decodePlanes({ codec: "raw", element: "f16" }, planes({ codes }), 1, 3, target, rows(3))),
    ).toBe("RangeError");
  });
});
