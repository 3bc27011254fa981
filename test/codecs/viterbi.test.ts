import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodePlanes,
  TRELLIS_TABLES,
  type TrellisTable,
  trellisSteps,
  trellisTable,
} from "../../src/core/format.ts";
import { BLOCK, type ViterbiEngine } from "../../src/encode/quantize/viterbi/engine.ts";
import { viterbiKernelEngine } from "../../src/encode/quantize/viterbi/kernels/viterbi-kernel.ts";
import { viterbiPlainEngine } from "../../src/encode/quantize/viterbi/plain.ts";
import { continueWindows, encodeTrellis, packWindows } from "../../src/encode/quantize/viterbi/viterbi.ts";
import { random } from "../container/fixtures.ts";
import { numbers, thorough } from "../helpers/thorough.ts";

const plain = viterbiPlainEngine();
const kernel = viterbiKernelEngine()!;
const tables = [...TRELLIS_TABLES.values()];
const tableArbitrary = fc.constantFrom(...tables);

/** Roughly normal numbers of that deviation. */
function bell(length: number, deviation: number, seed: number): Float32Array {
  const { below } = random(seed);
  const sum = (): number => below(1001) + below(1001) + below(1001) + below(1001) - 2000;
  return Float32Array.from({ length }, () => (sum() * deviation) / 577);
}

/** What the spec decodes the bits to, with scale 1. */
function decoded(table: TrellisTable, bits: Uint8Array, length: number): Float32Array {
  const target = new Float32Array(length);
  const planes = { scales: Uint8Array.of(0x80, 0x3f), zeroPoints: new Uint8Array(0), codes: bits };
  const encoding = {
    codec: "trellis",
    table: table.number,
    group: 0,
    scale: "bf16",
    rotation: "none",
  } as const;
  decodePlanes(encoding, planes, 1, length, target, {
    offset: 0,
    componentStride: length,
    weightStride: 1,
  });
  return target;
}

function costOf(values: Float32Array, integers: ArrayLike<number>, importance?: Float32Array): number {
  let cost = 0;
  for (let i = 0; i < values.length; i++)
    cost += (importance?.[i] ?? 1) * (values[i]! - integers[i]!) * (values[i]! - integers[i]!);
  return cost;
}

const values = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.double({ min: -160, max: 160, noNaN: true }) },
      fc.integer({ min: -130, max: 130 }),
      fc.constantFrom(0, -0, 1e-40, 127, -127, 4096, 5000, -1e30, Number.POSITIVE_INFINITY),
    ),
    { minLength: 1, maxLength: 300 },
  )
  .map((array) => Float32Array.from(array));

describe("the Viterbi search", () => {
  it("has a kernel here", () => {
    expect(kernel).toBeDefined();
  });

  it("gives the same bits with the kernel and without, importance or not", () => {
    fc.assert(
      fc.property(tableArbitrary, values, fc.boolean(), (table, vector, weighted) => {
        const importance = weighted ? bell(vector.length, 3, vector.length + 1).map(Math.abs) : undefined;
        const reference = encodeTrellis(vector, table, importance, plain);
        expect(encodeTrellis(vector, table, importance, kernel)).toEqual(reference);
        expect(decoded(table, reference.bits, vector.length)).toEqual(Float32Array.from(reference.values));
        if (vector.every(Number.isFinite))
          expect(reference.cost).toBe(costOf(vector, reference.values, importance));
      }),
      { numRuns: 300 },
    );
  });

  it("goes on from any window, with the kernel as without, to the best of the windows that can follow", () => {
    fc.assert(
      fc.property(tableArbitrary, values, fc.nat(), fc.nat(255), (table, vector, split, before) => {
        const finite = vector.map((x) => Math.max(-4096, Math.min(x, 4096)));
        const steps = trellisSteps(table, finite.length);
        const from = (split % steps) * table.weightsPerStep;
        const run = (engine: ViterbiEngine): Uint8Array => {
          const windows = new Uint8Array(steps - from / table.weightsPerStep);
          engine.begin(table, steps);
          continueWindows(finite, table, engine, [from, finite.length], before, windows);
          return windows;
        };
        const found = run(plain);
        expect(run(kernel)).toEqual(found);
        const mask = (1 << (8 - table.stepBits)) - 1;
        for (const [j, window] of found.entries())
          expect(window & mask).toBe((j === 0 ? before : found[j - 1]!) >> table.stepBits);
        // From nothing, it is the search for a whole vector.
        if (from === 0 && before >> table.stepBits === 0)
          expect(packWindows(found, table)).toEqual(encodeTrellis(finite, table, undefined, plain).bits);
      }),
      { numRuns: 200 },
    );
  });

  it("gives the same bits for every length from 1 to 300, and ties broken alike", () => {
    for (const table of tables) {
      for (const length of numbers(1, 300, 7)) {
        // Whole and half numbers are full of equal costs.
        const vector = bell(length, 60, length).map((x) => (length % 2 === 0 ? Math.round(x / 16) * 16 : x));
        expect(encodeTrellis(vector, table, undefined, kernel).bits).toEqual(
          encodeTrellis(vector, table, undefined, plain).bits,
        );
      }
      const nothing = new Float32Array(100);
      const none = new Float32Array(100);
      expect(encodeTrellis(nothing, table, none, kernel)).toEqual(encodeTrellis(nothing, table, none, plain));
    }
  });

  it("cuts long vectors into blocks and changes nothing by it", () => {
    for (const number of thorough ? [1, 6] : [6]) {
      const table = trellisTable(number);
      const vector = bell(2 * BLOCK * table.weightsPerStep + 333, 0.9 / table.unit, 5);
      const whole = encodeTrellis(vector, table, undefined, kernel);
      expect(encodeTrellis(vector, table, undefined, plain).bits).toEqual(whole.bits);
      // Without the blocks' links the rest of the vector would be coded worse.
      expect((whole.cost * table.unit ** 2) / vector.length).toBeLessThan(table.distortion * 1.05);
    }
  }, 120_000);

  it("finds the best of all bit strings", () => {
    fc.assert(
      fc.property(tableArbitrary, fc.integer({ min: 1, max: 8 }), fc.nat(1000), (table, length, seed) => {
        const steps = trellisSteps(table, length);
        fc.pre(steps * table.stepBits <= 12);
        const vector = bell(length, 50, seed);
        const importance = seed % 2 === 0 ? undefined : bell(length, 2, seed + 1).map(Math.abs);
        const found = encodeTrellis(vector, table, importance);
        let best = Number.POSITIVE_INFINITY;
        for (let string = 0; string < 2 ** (steps * table.stepBits); string++) {
          const bits = Uint8Array.of(string & 255, string >> 8).subarray(0, found.bits.length);
          best = Math.min(best, costOf(vector, decoded(table, bits, length), importance));
        }
        expect(found.cost).toBeLessThanOrEqual(best * (1 + 1e-5));
      }),
      { numRuns: 60 },
    );
  });

  it("reaches the published distortion", () => {
    for (const table of tables) {
      const { below } = random(99);
      const uniform = (): number => (below(2 ** 24) + 0.5) / 2 ** 24;
      const vector = Float32Array.from(
        { length: 1 << 16 },
        () => (Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())) / table.unit,
      );
      const energy = costOf(vector, new Float32Array(vector.length));
      const { cost } = encodeTrellis(vector, table);
      expect(Math.abs(cost / energy / table.distortion - 1)).toBeLessThan(0.03);
    }
  });

  it("leaves no unused bit set", () => {
    for (const table of tables) {
      const { bits } = encodeTrellis(bell(21, 50, 3), table);
      const used = trellisSteps(table, 21) * table.stepBits;
      for (let i = used; i < 8 * bits.length; i++) expect((bits[i >> 3]! >> (i & 7)) & 1).toBe(0);
    }
  });

  it("refuses NaN and importance out of range", () => {
    const table = trellisTable(1);
    const two = Float32Array.of(1, 2);
    expect(() => encodeTrellis(Float32Array.of(1, Number.NaN), table)).toThrow("value 1 is NaN");
    expect(() => encodeTrellis(two, table, Float32Array.of(1))).toThrow(RangeError);
    expect(() => encodeTrellis(two, table, Float32Array.of(1, -1))).toThrow(RangeError);
    expect(() => encodeTrellis(two, table, Float32Array.of(1, 1e30))).toThrow(RangeError);
    expect(encodeTrellis(two, table, Float32Array.of(2 ** 60, 0)).cost).toSatisfy(Number.isFinite);
  });
});
