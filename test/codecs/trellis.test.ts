import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodePlanes } from "../../src/codecs/decode.ts";
import type { Encoding } from "../../src/codecs/encoding.ts";
import { planeSizes } from "../../src/codecs/encoding.ts";
import { rotateIntegers, rotateWeights, scaleOfRotated } from "../../src/codecs/rotation.ts";
import { TRELLIS_TABLES, trellisSteps, trellisTable } from "../../src/codecs/trellis.ts";
import { unneededBits } from "../../src/codecs/trellis-unneeded.ts";
import { readEncoding, writeEncoding } from "../../src/container/encoding-record.ts";
import { isLqaError } from "../../src/errors.ts";
import { uniform } from "../helpers/random.ts";

const tables = [...TRELLIS_TABLES.values()];
const numbers = fc.integer({ min: 1, max: tables.length });

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

  it("are accepted in encoding records, and others are refused as unsupported", () => {
    for (let table = 0; table < 256; table++) {
      const encoding: Encoding = { codec: "trellis", table, group: 128, scale: "f16", rotation: "none" };
      const record = writeEncoding(encoding);
      if (TRELLIS_TABLES.has(table)) expect(readEncoding(record, "encodings[0]", 0)).toEqual(encoding);
      else {
        expect(() => readEncoding(record, "encodings[0]", 0)).toThrow("trellis table");
        try {
          trellisTable(table);
        } catch (error) {
          expect(isLqaError(error, "UNSUPPORTED_CODEC")).toBe(true);
        }
      }
    }
    const trellis: Encoding = { codec: "trellis", table: 1, group: 0, scale: "f16", rotation: "none" };
    const record = writeEncoding(trellis);
    expect(() => readEncoding({ ...record, bits: 1 }, "encodings[0]", 0)).toThrow("encodings[0].bits");
  });

  it("may be rotated, whole vectors only, and no other codec may", () => {
    const trellis: Encoding = { codec: "trellis", table: 1, group: 0, scale: "f16", rotation: "hadamard64" };
    const record = writeEncoding(trellis);
    expect(record.rotation).toBe(1);
    expect(readEncoding(record, "encodings[0]", 0)).toEqual(trellis);
    for (const wrong of [
      { ...record, rotation: 2 },
      { ...record, groupExponent: 4 },
      { ...writeEncoding({ codec: "sign", group: 0, scale: "f16" }), rotation: 1 },
      { ...writeEncoding({ codec: "zero" }), rotation: 1 },
    ]) {
      expect(() => readEncoding(wrong, "encodings[0]", 0)).toThrow(
        /ENCODING_PARAMETER.*encodings\[0\].rotation/,
      );
    }
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
        // Sums of 64 integers below 2^7 are exact in binary32, and so is the way back.
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

describe("bits that no scaled weight depends on", () => {
  const cases = fc
    .tuple(numbers, fc.constantFrom(0, 16, 32), fc.integer({ min: 1, max: 100 }))
    .chain(([number, group, length]) => {
      const groups = group === 0 ? 1 : Math.ceil(length / group);
      const zero = fc.array(fc.integer({ min: 0, max: 1 }), { minLength: groups, maxLength: groups });
      return fc.record({
        table: fc.constant(trellisTable(number)),
        group: fc.constant(group),
        length: fc.constant(length),
        zeroScale: zero.map((flags) => Uint8Array.from(flags)),
      });
    });

  it("are exactly those outside the windows of the steps of groups with a scale", () => {
    fc.assert(
      fc.property(cases, ({ table, group, length, zeroScale }) => {
        const steps = trellisSteps(table, length);
        const free = new Set(Array.from({ length: steps * table.stepBits }, (_, bit) => bit));
        for (let i = 0; i < length; i++) {
          if (zeroScale[group === 0 ? 0 : Math.floor(i / group)] === 1) continue;
          const end = (Math.floor(i / table.weightsPerStep) + 1) * table.stepBits;
          for (let bit = end - 8; bit < end; bit++) free.delete(bit);
        }
        const listed: number[] = [];
        for (const { from, end } of unneededBits(table, length, group, zeroScale))
          for (let bit = from; bit < end; bit++) listed.push(bit);
        expect(listed).toEqual([...free]);
      }),
    );
  });

  it("can be cleared, and every weight keeps its value", () => {
    fc.assert(
      fc.property(cases, fc.infiniteStream(fc.nat(255)), ({ table, group, length, zeroScale }, stream) => {
        const encoding: Encoding = {
          codec: "trellis",
          table: table.number,
          group,
          scale: "f16",
          rotation: "none",
        };
        const { codes: bytes } = planeSizes(encoding, 1, length);
        const codes = Uint8Array.from({ length: bytes }, () => stream.next().value!);
        const scales = new Uint8Array(new Uint16Array(zeroScale.map((z) => 1 - z)).buffer);
        for (let i = 1; i < scales.length; i += 2) scales[i] = zeroScale[i >> 1] === 1 ? 0 : 0x3c;
        const decode = (): Float32Array => {
          const target = new Float32Array(length);
          const at = { offset: 0, componentStride: length, weightStride: 1 };
          decodePlanes(encoding, { scales, zeroPoints: new Uint8Array(0), codes }, 1, length, target, at);
          return target.map((weight) => (weight === 0 ? 0 : weight));
        };
        const before = decode();
        const kept = codes.slice();
        for (const { from, end } of unneededBits(table, length, group, zeroScale))
          for (let bit = from; bit < end; bit++) codes[bit >> 3]! &= ~(1 << (bit & 7));
        expect(decode()).toEqual(before);
        for (const { from, end } of unneededBits(table, length, group, zeroScale))
          for (let bit = from; bit < end; bit++) kept[bit >> 3]! &= ~(1 << (bit & 7));
        expect(codes).toEqual(kept);
      }),
    );
  });
});
