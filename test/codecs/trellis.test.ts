import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rotateIntegers, rotateWeights, scaleOfRotated, TRELLIS_TABLES } from "../../src/core/format.ts";
import { uniform } from "../helpers/random.ts";

const tables = [...TRELLIS_TABLES.values()];

describe("trellis tables", () => {
  it("are the normative data, in bounds, with nothing negative at window 0", () => {
    const { tables: data } = JSON.parse(
      readFileSync(new URL("../../spec/trellis-tables.json", import.meta.url), "utf8"),
    );
    expect(tables.map((t) => ({ ...t, entries: [...t.entries] }))).toEqual(data);
    for (const { entries, weightsPerStep } of tables) {
      expect(entries.length).toBe(256 * weightsPerStep);
      expect(entries.every((e) => e >= -127)).toBe(true);
      expect([...entries.subarray(0, weightsPerStep)].every((e) => e >= 0)).toBe(true);
    }
  });

  it("have the rates the numbers stand for, and distortions near Shannon's bound", () => {
    expect(tables.map((t) => t.stepBits / t.weightsPerStep)).toEqual([0.5, 1, 1.5, 2, 3, 4]);
    const limits = [0.531, 0.277, 0.1475, 0.074, 0.0196, 0.0053];
    for (const [i, { distortion }] of tables.entries()) expect(distortion).toBeLessThan(limits[i]!);
  });
});

describe("the rotation", () => {
  it("keeps lengths, and is undone by the decoder's, which is exact", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(1e6), (length, seed) => {
        const next = uniform(seed);
        const integers = Int16Array.from({ length }, () => Math.floor(next() * 255) - 127);
        const weights = Float32Array.from(integers);
        rotateIntegers(integers);
        // Sums of 64 integers below 2^7 are exact in binary32, and so is the inverse.
        const back = rotateWeights(Float32Array.from(integers));
        expect(back.map((x) => scaleOfRotated(x) + 0)).toEqual(weights);
        const energy = (x: Float32Array): number => x.reduce((sum, y) => sum + y * y, 0);
        expect(energy(back)).toBe(energy(Float32Array.from(integers)));
      }),
    );
  });

  it("makes constant and lone weights flat", () => {
    for (const [lone, weights] of [
      [false, new Float32Array(640).fill(3)],
      [true, new Float32Array(640).map((_, i) => (i === 130 ? 8 : 0))],
    ] as const) {
      const rotated = rotateWeights(weights);
      const column = rotated.filter((_, i) => !lone || i % 10 === 0);
      expect(new Set(column.map(Math.abs))).toEqual(new Set([lone ? 1 : 3]));
    }
  });
});
