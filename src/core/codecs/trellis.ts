/**
 * Trellis tables: what a table number means (spec clause 8.6 and annex H).
 *
 * A table number fixes the bits of a step, the weights of a step and, for each of the 256 windows, the integers those
 * weights stand for. The entries are normative data, generated from `spec/trellis-tables.json`; here they become
 * typed arrays that nobody may write to. A vector's bit string holds one step after the other, least significant bit
 * first; window j is the last 8 bits up to and including step j, the newest highest, with zeros before the start.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { bytesOfText } from "../wasm/text.ts";
import { ROTATION_GROWTH, type Rotation } from "./rotation.ts";
import { TRELLIS_DATA, TRELLIS_DIFFERENCES } from "./trellis-tables.ts";

/** Bits of a window: a step's weights depend on its own bits and on those before it, so many in all. */
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

/** No integer of a table is larger in magnitude. */
const LARGEST_ENTRY = 127;

/** The largest magnitude of the integers that a scale multiplies, which bounds the scale (spec 8.1). */
export function largestInteger(rotation: Rotation): number {
  return rotation === "none" ? LARGEST_ENTRY : LARGEST_ENTRY * ROTATION_GROWTH;
}

/** All tables this version knows, by number. */
export const TRELLIS_TABLES: ReadonlyMap<number, TrellisTable> = tablesOf(
  bytesOfText(TRELLIS_DIFFERENCES)[Symbol.iterator](),
);

/** The tables from how trellis-tables.ts stores them. */
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
 * The table of that number.
 *
 * @throws LqaError UNSUPPORTED_CODEC for a number this version does not know.
 */
export function trellisTable(number: number): TrellisTable {
  return TRELLIS_TABLES.get(number) ?? fail(KIND.UNSUPPORTED_CODEC, { actual: `trellis table ${number}` });
}

/** Steps of a vector of `length` weights; the last step may have weights too many, which nobody uses. */
export function trellisSteps(table: TrellisTable, length: number): number {
  return Math.ceil(length / table.weightsPerStep);
}

/** Bits of a vector of `length` weights. Its bytes are those of so many bits. */
export function trellisBits(table: TrellisTable, length: number): number {
  return trellisSteps(table, length) * table.stepBits;
}

/** Bits a weight: ½, 1, 1½, 2, 3 or 4. */
export function trellisRate(table: TrellisTable): number {
  return table.stepBits / table.weightsPerStep;
}
