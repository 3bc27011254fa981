/**
 * The codec `trellis` (spec clause 8.6): its tables, and the codec.
 *
 * A table number fixes the bits of a step, the weights of a step and, for each of the 256 windows, the integers of those
 * weights. The entries are normative data, generated from `spec/trellis-tables.json`. Do not modify the typed arrays that
 * this file makes of them.
 *
 * A vector's bit string holds one step after the other, least significant bit first. Window j is the last 8 bits up to and
 * including step j, the newest highest, with zeros before the start. Every weight is one entry of the table times the scale
 * of its vector; in a rotated vector (8.6.1) the decoder first mixes entries, in integers.
 *
 * @module
 */

import { bytesOfText } from "../../common/wasm/kernel.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { numberToF16, packedBytes, readElement, unpackCodes } from "../../floats.ts";
import type { Codec } from "./codec.ts";
import { NOTHING, type ReferenceDecoder, type TrellisEncoding } from "./encoding.ts";
import { ROTATION_GROWTH, ROTATIONS, type Rotation, rotateIntegers } from "./rotation.ts";
import { TRELLIS_DATA, TRELLIS_DIFFERENCES } from "./trellis-tables.ts";

/** Bits of a window: the weights of a step depend on this many bits, its own and those before it. */
export const WINDOW_BITS = 8;

/** A normative table. */
export interface TrellisTable {
  /** As stored in an encoding record (spec 6.4). */
  readonly number: number;
  /** Bits of one step, k: 1 to 4. */
  readonly stepBits: number;
  /** Weights of one step, V: 1 or 2. */
  readonly weightsPerStep: number;
  /** Integer of weight v of window w at `w · weightsPerStep + v`, from −127 to 127. */
  readonly entries: Int8Array;
  /** The scale that codes standard normal weights best: multiply it by a vector's root mean square. Informative. */
  readonly unit: number;
  /** Mean squared error of standard normal weights at scale `unit`. Informative. */
  readonly distortion: number;
}

/** The largest magnitude of an entry of a table. */
const LARGEST_ENTRY = 127;

/** The largest magnitude of the integers that a scale multiplies, which bounds the scale (spec 8.1). */
export function largestInteger(rotation: Rotation): number {
  return rotation === "none" ? LARGEST_ENTRY : LARGEST_ENTRY * ROTATION_GROWTH;
}

/** All tables that this version knows, by number. */
export const TRELLIS_TABLES: ReadonlyMap<number, TrellisTable> = tablesOf(
  bytesOfText(TRELLIS_DIFFERENCES)[Symbol.iterator](),
);

/** Builds the tables from the differences that trellis-tables.ts stores. */
function tablesOf(differences: Iterator<number>): Map<number, TrellisTable> {
  return new Map(
    TRELLIS_DATA.map(({ masks, ...table }) => {
      const entries = new Int8Array(256 * table.weightsPerStep);
      masks.forEach((own, v) => {
        for (let w = 0; w < 256; w++) {
          const mask = own.find((m) => (w ^ Math.abs(m)) < w) ?? 0;
          const before = entries[(w ^ Math.abs(mask)) * table.weightsPerStep + v]!;
          // Stored modulo 256.
          entries[w * table.weightsPerStep + v] = differences.next().value + Math.sign(mask) * before;
        }
      });
      return [table.number, { ...table, entries }];
    }),
  );
}

/**
 * The table with a number.
 *
 * @throws LqaError UNSUPPORTED_CODEC for a number that this version does not know.
 */
export function trellisTable(number: number): TrellisTable {
  return TRELLIS_TABLES.get(number) ?? fail(KIND.UNSUPPORTED_CODEC, { actual: `trellis table ${number}` });
}

/** Steps of a vector of `length` weights; the last step may have more weights than the vector. */
export function trellisSteps(table: TrellisTable, length: number): number {
  return Math.ceil(length / table.weightsPerStep);
}

/** Bits per weight: ½, 1, 1½, 2, 3 or 4. */
export function trellisRate(table: TrellisTable): number {
  return table.stepBits / table.weightsPerStep;
}

/** Codec 4. */
export const TRELLIS: Codec<TrellisEncoding> = {
  name: "trellis",
  number: 4,
  clause: "8.6",
  feature: 1,
  usual: ["whole", "bf16"],
  // Drafts allowed groups, and scales of every type.
  drafts: ["scale", "groupExponent"],
  write: ({ table, scale, rotation }) => ({ table, scale, rotation: ROTATIONS.indexOf(rotation) }),
  read(record) {
    const { table } = record;
    if (!TRELLIS_TABLES.has(table)) record.unknown("table", `trellis table 1 to ${TRELLIS_TABLES.size}`);
    const rotation = ROTATIONS[record.rotation] ?? record.unknown("rotation", "0 or 1");
    record.float("scale", "F16 or BF16");
    return { codec: "trellis", table, group: 0, scale: "bf16", rotation };
  },
  lower({ table: number, scale, rotation }) {
    const table = trellisTable(number);
    return {
      ...NOTHING,
      kind: "windows",
      bits: table.stepBits,
      weights: table.weightsPerStep,
      table,
      rotated: rotation !== "none",
      scale,
      largest: largestInteger(rotation),
    };
  },
};

/** The reference decoder of `windows`. It shifts the window from step to step; another decoder can begin at any step. */
export const decodeWindows: ReferenceDecoder = (lowered, planes, components, length, target, at) => {
  const table = lowered.table!;
  const { stepBits, weightsPerStep, entries } = table;
  // The weights of a step are a power of two.
  const shift = Math.log2(weightsPerStep);
  const rest = weightsPerStep - 1;
  const wide = target instanceof Float32Array;
  const steps = trellisSteps(table, length);
  const bytes = packedBytes(steps, stepBits);
  const windows = new Uint8Array(steps);
  const integers = lowered.rotated ? new Int16Array(length) : undefined;
  const scaled = wide ? new Float32Array(entries.length) : new Uint16Array(entries.length);
  for (let c = 0; c < components; c++) {
    readWindows(planes.codes, c * bytes, stepBits, windows);
    const scale = readElement(planes.scales, lowered.scale!, c);
    if (integers !== undefined) {
      for (let i = 0; i < length; i++) integers[i] = entries[(windows[i >> shift]! << shift) | (i & rest)]!;
      rotateIntegers(integers);
      for (let i = 0, to = at.offset + c * at.componentStride; i < length; i++, to += at.weightStride) {
        const value = Math.fround(integers[i]! * scale);
        target[to] = wide ? value : numberToF16(value);
      }
      continue;
    }
    for (let e = 0; e < entries.length; e++) {
      const value = Math.fround(entries[e]! * scale);
      scaled[e] = wide ? value : numberToF16(value);
    }
    for (let i = 0, to = at.offset + c * at.componentStride; i < length; i++, to += at.weightStride)
      target[to] = scaled[(windows[i >> shift]! << shift) | (i & rest)]!;
  }
};

/** Writes the windows of the vector whose bit string begins at byte `at` to `windows`, one for each step. */
function readWindows(codes: Uint8Array, at: number, stepBits: number, windows: Uint8Array): void {
  unpackCodes(codes, at, windows.length, stepBits, windows, 0);
  const top = WINDOW_BITS - stepBits;
  let window = 0;
  for (let j = 0; j < windows.length; j++) {
    window = (window >> stepBits) | (windows[j]! << top);
    windows[j] = window;
  }
}
