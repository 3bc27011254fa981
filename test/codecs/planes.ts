/** Random planes of any encoding, and a decoder written from the rules one weight at a time, as an oracle. */

import fc from "fast-check";
import { groupCount, planeSizes, trellisTable } from "../../src/core/format.ts";
import type { Encoding, FloatType, Planes } from "../../src/core/index.ts";
import { bf16ToNumber, f16ToNumber } from "../helpers/floats.ts";

const scale = fc.constantFrom("f16", "bf16");
const group = fc.constantFrom(0, 16, 32, 64, 128);

export const encodings: fc.Arbitrary<Encoding> = fc.oneof(
  fc.constant({ codec: "zero" as const }),
  fc.record({ codec: fc.constant("raw" as const), element: fc.constantFrom("f16", "bf16", "f32") }),
  fc.record({ codec: fc.constant("sign" as const), group, scale }),
  fc.record({
    codec: fc.constant("affine" as const),
    bits: fc.integer({ min: 1, max: 8 }),
    group,
    scale,
  }),
  fc.record({
    codec: fc.constant("trellis" as const),
    table: fc.integer({ min: 1, max: 6 }),
    group: fc.constant(0),
    scale: fc.constant("bf16" as const),
    rotation: fc.constantFrom("none", "hadamard64"),
  }),
) as fc.Arbitrary<Encoding>;

export interface Sample {
  readonly encoding: Encoding;
  readonly components: number;
  readonly length: number;
  readonly planes: Planes;
}

/** Planes of arbitrary bytes: most break some rule, and all must decode. */
export const samples: fc.Arbitrary<Sample> = fc
  .tuple(encodings, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 150 }))
  .chain(([encoding, components, length]) => {
    const sizes = planeSizes(encoding, components, length);
    const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n });
    return fc.record({
      encoding: fc.constant(encoding),
      components: fc.constant(components),
      length: fc.constant(length),
      planes: fc.record({
        scales: bytes(sizes.scales),
        zeroPoints: bytes(sizes.zeroPoints),
        codes: bytes(sizes.codes),
      }),
    });
  });

function code(plane: Uint8Array, component: number, index: number, length: number, bits: number): number {
  const base = component * Math.ceil((length * bits) / 8) * 8 + index * bits;
  let value = 0;
  for (let b = 0; b < bits; b++) value |= ((plane[(base + b) >> 3]! >> ((base + b) & 7)) & 1) << b;
  return value;
}

/** Number `index` of a plane. */
function readElement({ buffer, byteOffset }: Uint8Array, type: FloatType, index: number): number {
  const view = new DataView(buffer, byteOffset);
  if (type === "f32") return view.getFloat32(4 * index, true);
  return (type === "f16" ? f16ToNumber : bf16ToNumber)(view.getUint16(2 * index, true));
}

/** Number of set bits. */
function ones(n: number): number {
  return n === 0 ? 0 : (n & 1) + ones(n >> 1);
}

/** The integer of weight `i` of component `c` before the scale (spec 8.6). */
function trellisInteger({ encoding, length, planes }: Sample, c: number, i: number): number {
  if (encoding.codec !== "trellis") throw new Error("not a trellis");
  const { stepBits, weightsPerStep, entries } = trellisTable(encoding.table);
  const steps = Math.ceil(length / weightsPerStep);
  const base = c * Math.ceil((steps * stepBits) / 8) * 8;
  const entry = (at: number): number => {
    const j = Math.floor(at / weightsPerStep);
    // Bits (j + 1)k − 8 to (j + 1)k − 1 of the string, those before it 0.
    let window = 0;
    for (let b = 0; b < 8; b++) {
      const bit = (j + 1) * stepBits - 8 + b;
      if (bit >= 0) window |= ((planes.codes[(base + bit) >> 3]! >> (bit & 7)) & 1) << b;
    }
    return entries[window * weightsPerStep + (at % weightsPerStep)]!;
  };
  if (encoding.rotation === "none") return entry(i);
  const columns = Math.floor(length / 64);
  if (i >= 64 * columns) return 8 * entry(i);
  const row = Math.floor(i / columns);
  const bit = (n: number): number => (row >> n) & 1;
  let sum = 0;
  for (let other = 0; other < 64; other++)
    sum += (-1) ** ones(row & other) * entry(other * columns + (i % columns));
  return sum * (-1) ** (bit(0) * bit(1) + bit(2) * bit(3) + bit(4) * bit(5)) + 0;
}

/** Weight `i` of component `c` in binary32. */
export function expectedWeight(sample: Sample, c: number, i: number): number {
  const { encoding, length, planes } = sample;
  switch (encoding.codec) {
    case "zero":
      return 0;
    case "raw":
      return readElement(planes.codes, encoding.element, c * length + i);
    case "trellis":
      return Math.fround(trellisInteger(sample, c, i) * readElement(planes.scales, encoding.scale, c));
    default: {
      const groups = groupCount(encoding.group, length);
      const g = encoding.group === 0 ? 0 : Math.floor(i / encoding.group);
      const s = readElement(planes.scales, encoding.scale, c * groups + g);
      if (encoding.codec === "sign") return code(planes.codes, c, i, length, 1) === 0 ? s : -s;
      const q = code(planes.codes, c, i, length, encoding.bits);
      return Math.fround((q - code(planes.zeroPoints, c, g, groups, encoding.bits)) * s);
    }
  }
}
