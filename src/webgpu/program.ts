/**
 * Description of a module for the kernels: its sizes; for each component of each factor its encoding, and the places of its
 * planes in the payload of an expert; and lists of the components that take part in each step.
 *
 * | word | |
 * | --- | --- |
 * | 0 to 3 | rank, experts, bytes from one expert's planes to the next one's, multiplier as binary32 |
 * | 4 to 11, 12 to 19 | of B' and of A': length of a vector, place of its entries, and place and count of three lists |
 * | then | six words for each component of B', of A', and the lists |
 *
 * The lists hold numbers of components: rotated ones; applied ones that are not rotated; applied ones that are rotated. The
 * kernels do not apply a component if one of its factors stores nothing.
 *
 * @module
 */

import { align } from "../common/bytes.ts";
import {
  EXPERT_ALIGNMENT,
  hasStart,
  type Lowered,
  lower,
  sizesOf,
  TRELLIS_TABLES,
  walkPlanes,
} from "../core/format.ts";
import type { Band, Encoding } from "../core/index.ts";
import { FLOAT_NUMBERS, kindNumber } from "../core/rooms.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";

const HEADER_WORDS = 20;
/** The shift of a group that is the whole vector: any weight's number shifted right by it is 0. */
const WHOLE = 31;

/** Numbers of the factors in the kernels. */
export const FACTOR = { b: 0, a: 1 } as const;

/** How many components of a factor are in each list. */
export interface Listed {
  readonly rotated: number;
  readonly appliedStraight: number;
  readonly appliedRotated: number;
}

/** A program: its words, in the layout above, and the lengths of its lists. */
export interface GpuProgram {
  readonly words: Uint32Array & { readonly buffer: ArrayBuffer };
  readonly b: Listed;
  readonly a: Listed;
}

interface Place {
  codes: number;
  scales: number;
  zeroPoints: number;
}

/** The program of a module. @throws LqaError UNSUPPORTED_FEATURE for A' with a start; UNSUPPORTED_CODEC */
export function gpuProgramOf(shape: ModuleShape, bands: readonly Band[]): GpuProgram {
  if (hasStart(bands))
    fail(KIND.UNSUPPORTED_FEATURE, {
      where: `module "${shape.name}"`,
      expected: "a payload whose A' has no start",
      advice: "Upload the packed factors of the module, or the module as a pool has it, with its start.",
    });
  const places = { a: [] as Place[], b: [] as Place[] };
  const bytes = walkPlanes(shape, bands, ({ band, factor, plane, offset }) => {
    if (factor !== "mix") (places[factor][band] ??= { codes: 0, scales: 0, zeroPoints: 0 })[plane] = offset;
  });
  const words: number[] = [
    shape.rank,
    shape.experts,
    align(bytes, EXPERT_ALIGNMENT),
    bitsOf(shape.multiplier),
  ];
  words.length = HEADER_WORDS;
  const lists = {} as Record<"b" | "a", Listed>;
  for (const factor of ["b", "a"] as const) {
    const length = factor === "b" ? shape.out : inputLength(shape);
    const entries = words.length;
    bands.forEach((band, i) => {
      for (let c = 0; c < band.components; c++)
        words.push(...entryOf(lower(band[factor]), places[factor][i]!, c, length));
    });
    const { rotated, straight, applied } = listsOf(factor, bands);
    const first = words.length;
    words.push(...rotated, ...straight, ...applied);
    const header = [
      ...[length, entries, first, rotated.length, first + rotated.length, straight.length],
      ...[first + rotated.length + straight.length, applied.length],
    ];
    header.forEach((word, i) => {
      words[4 + 8 * FACTOR[factor] + i] = word;
    });
    lists[factor] = {
      rotated: rotated.length,
      appliedStraight: straight.length,
      appliedRotated: applied.length,
    };
  }
  return { words: Uint32Array.from(words), ...lists };
}

function listsOf(
  factor: "b" | "a",
  bands: readonly Band[],
): Record<"rotated" | "straight" | "applied", number[]> {
  const lists = { rotated: [] as number[], straight: [] as number[], applied: [] as number[] };
  let number = 0;
  const stored = (encoding: Encoding): boolean => lower(encoding).kind !== "nothing";
  for (const band of bands) {
    const { rotated } = lower(band[factor]);
    const applied = stored(band.a) && stored(band.b);
    for (let c = 0; c < band.components; c++, number++) {
      if (rotated) lists.rotated.push(number);
      if (applied) lists[rotated ? "applied" : "straight"].push(number);
    }
  }
  return lists;
}

/** The entry of component `c` of a band. */
function entryOf(lowered: Lowered, place: Place, c: number, length: number): number[] {
  const { element, bits, weights, table, group, scale } = lowered;
  const each = sizesOf(lowered, 1, length);
  // For floats, their type replaces their bits.
  const width = element === undefined ? bits : FLOAT_NUMBERS[element];
  const scaleType = scale === undefined ? 0 : FLOAT_NUMBERS[scale];
  return [
    kindNumber(lowered) | (width << 8) | (Math.log2(weights) << 16) | (scaleType << 24),
    group === 0 ? WHOLE : Math.log2(group),
    table === undefined ? 0 : TABLE_PLACES.get(table.number)!,
    place.codes + c * each.codes,
    place.scales + c * each.scales,
    place.zeroPoints + c * each.zeroPoints,
  ];
}

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

function bitsOf(value: number): number {
  f32[0] = value;
  return u32[0]!;
}

/** Number of each trellis table to its offset in {@link allTables}. */
const TABLE_PLACES: ReadonlyMap<number, number> = (() => {
  const places = new Map<number, number>();
  let at = 0;
  for (const [number, { entries }] of TRELLIS_TABLES) {
    places.set(number, at);
    at += entries.length;
  }
  return places;
})();

/** All trellis tables, one after the other; each length is a multiple of 4. */
export function allTables(): Uint8Array {
  const tables = [...TRELLIS_TABLES.values()].map(({ entries }) => entries);
  const bytes = new Uint8Array(tables.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const table of tables) {
    bytes.set(table, at);
    at += table.length;
  }
  return bytes;
}
