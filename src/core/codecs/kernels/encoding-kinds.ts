/**
 * Describes an encoding to the kernels, and lays out the fixed part of their memory: lookup tables of trellis codes at fixed
 * addresses below {@link FREE} (source: `parts/tile.as`).
 *
 * @module
 */
import { FLOAT_NUMBERS, kindNumber, type Lowered } from "../encoding.ts";
import { trellisTable } from "../trellis.ts";

/** Address of each lookup table by the number of its trellis table, and the number of steps that one lookup decodes. */
const LOOKUP: readonly { readonly at: number; readonly steps: number }[] = [
  { at: 0, steps: 0 },
  { at: 0x1000, steps: 4 },
  { at: 0x5200, steps: 4 },
  { at: 0x7300, steps: 2 },
  { at: 0x9500, steps: 2 },
  { at: 0x9e00, steps: 2 },
  { at: 0xaf00, steps: 2 },
];
/** Address of the entries while the kernel builds a table from them. */
const ENTRIES = 0x11e00;
/** First address that jobs may use. */
export const FREE = 0x12400;

/** The function of a kernel that builds a lookup table. */
export interface TablePreparing {
  prepare(entries: number, stepBits: number, weights: number, steps: number, lut: number): void;
}

/**
 * Builds a lookup table in the memory of a kernel, once.
 *
 * @param prepared numbers of the tables that this memory has already
 * @returns the address of the table
 */
export function prepareTable(
  kernel: TablePreparing,
  memory: Uint8Array,
  number: number,
  prepared: Set<number>,
): number {
  const { at, steps } = LOOKUP[number]!;
  if (!prepared.has(number)) {
    const { entries, stepBits, weightsPerStep } = trellisTable(number);
    memory.set(new Uint8Array(entries.buffer, entries.byteOffset, entries.length), ENTRIES);
    kernel.prepare(ENTRIES, stepBits, weightsPerStep, steps, at);
    prepared.add(number);
  }
  return at;
}

/** An encoding as arguments of `tile` in tile.as. */
export interface EncodingKind {
  readonly kind: number;
  readonly bits: number;
  readonly scale: number;
  readonly group: number;
  readonly lut: number;
}

/** The arguments of `tile` for an encoding: `bits` is the bits of a code, or the number of a trellis table or a float type. */
export function kindOf(lowered: Lowered): EncodingKind {
  const { element, table, bits, scale, group } = lowered;
  return {
    kind: kindNumber(lowered),
    bits: table?.number ?? (element === undefined ? bits : FLOAT_NUMBERS[element]),
    scale: scale === undefined ? 0 : FLOAT_NUMBERS[scale],
    group,
    lut: table === undefined ? 0 : LOOKUP[table.number]!.at,
  };
}
