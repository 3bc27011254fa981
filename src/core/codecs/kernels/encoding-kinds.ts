/**
 * How kernels are told of an encoding, and what they share of their memory: lookup tables of trellis codes at fixed places
 * below {@link FREE} (source: `parts/tile.as`).
 *
 * @module
 */
import type { Encoding, FloatType } from "../encoding.ts";
import { trellisTable } from "../trellis.ts";

/** As in tile.as: float types, and kinds of `tile` with what their `bits` means. */
export const TYPE: Readonly<Record<FloatType, number>> = { f32: 0, f16: 1, bf16: 2 };
const [ZERO, RAW, SIGN, AFFINE, TRELLIS] = [0, 1, 2, 3, 4] as const;
/** Of vectors that were expanded and rotated before. */
export const INTEGERS = 5;
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

/** What `tile` is to be told of an encoding. */
export function kindOf(encoding: Encoding): EncodingKind {
  switch (encoding.codec) {
    case "zero":
      return { kind: ZERO, bits: 0, scale: 0, group: 0, lut: 0 };
    case "raw":
      return { kind: RAW, bits: TYPE[encoding.element], scale: 0, group: 0, lut: 0 };
    default: {
      const { group } = encoding;
      const scale = TYPE[encoding.scale];
      if (encoding.codec === "sign") return { kind: SIGN, bits: 1, scale, group, lut: 0 };
      if (encoding.codec === "affine") return { kind: AFFINE, bits: encoding.bits, scale, group, lut: 0 };
      const kind = encoding.rotation === "none" ? TRELLIS : INTEGERS;
      return { kind, bits: encoding.table, scale, group, lut: LOOKUP[encoding.table]!.at };
    }
  }
}
