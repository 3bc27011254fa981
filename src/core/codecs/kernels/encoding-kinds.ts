/**
 * How kernels are told of an encoding, and what they share of their memory: lookup tables of trellis codes at fixed places
 * below {@link FREE} (source: `parts/tile.as`).
 *
 * @module
 */
import { FLOAT_NUMBERS, kindNumber, type Lowered } from "../lowered.ts";
import { trellisTable } from "../trellis.ts";

/** Where each trellis table stands once it is wanted, by number, and of how many steps its windows are. */
const LOOKUP: readonly { readonly at: number; readonly steps: number }[] = [
  { at: 0, steps: 0 },
  { at: 0x1000, steps: 4 },
  { at: 0x5200, steps: 4 },
  { at: 0x7300, steps: 2 },
  { at: 0x9500, steps: 2 },
  { at: 0x9e00, steps: 2 },
  { at: 0xaf00, steps: 2 },
];
/** Where entries stand while a table is made of them. */
const ENTRIES = 0x11e00;
/** Where memory is free. */
export const FREE = 0x12400;

/** What makes a table. */
export interface TablePreparing {
  prepare(entries: number, stepBits: number, weights: number, steps: number, lut: number): void;
}

/** Makes a trellis table in the memory of a kernel, once. @returns where it is */
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

/** An encoding as `tile` of tile.as wants it. */
export interface EncodingKind {
  readonly kind: number;
  readonly bits: number;
  readonly scale: number;
  readonly group: number;
  readonly lut: number;
}

/** What `tile` is to be told of an encoding: its `bits` are the number of a table, or of a float type, where there is one. */
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
