/**
 * The program of applying a module: a list of the components of A' and one of those of B', each with its encoding and
 * the position of its planes in the payload.
 *
 * Components for which a factor stores nothing contribute nothing and are left out. For a module with a parent, or a parent,
 * only that factor's entry is left out, because another generation may have the other factor (spec clause 8.9). Rotated
 * components come last (`rotating.ts`). If A' has a start, its draws are also rows of weights, and a third list mixes them
 * (spec clause 8.8). Making a program takes a few microseconds, and it has one or two KiB. That would be too much for each
 * module of thousands of adapters, so only recently used programs are kept.
 * @module
 */

import { align } from "../common/bytes.ts";
import {
  EXPERT_ALIGNMENT,
  type Factor,
  hasStart,
  type Lowered,
  lower,
  lowerFactor,
  sizesOf,
  vectorLengths,
  walkPlanes,
} from "../core/format.ts";
import type { Band } from "../core/index.ts";
import { kindOf } from "../core/rooms.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";

/** The components of one factor that take part. */
export interface FactorProgram {
  /** {@link ENTRY_WORDS} per component, in the kernel's format. */
  readonly words: Int32Array;
  /** The encoding of each. */
  readonly encodings: readonly Lowered[];
  /** Number of components that are not rotated; they come first. */
  readonly straight: number;
}

/** The additional lists of an A' with a start. */
export interface StartProgram {
  /** Number of rows of draws per expert. */
  readonly rank: number;
  /** An entry for each row; its codes are positions in the draws of an expert. */
  readonly draws: Int32Array;
  /** Vectors of `rank` weights that mix the rows, one for each component with a start. */
  readonly mix: FactorProgram;
}

export interface ApplyProgram {
  readonly a: FactorProgram;
  readonly b: FactorProgram;
  readonly start: StartProgram | undefined;
  /** The words of `a`, `b` and, with a start, of its draws and its mix, as bytes. */
  readonly lists: readonly Uint8Array[];
  /** Number of components that take part; in a lineage, of all components. */
  readonly components: number;
  /** Bytes of the planes of one expert, and stride from one expert to the next. */
  readonly payloadBytes: number;
  readonly expertStride: number;
  /** Numbers of the trellis tables in use. */
  readonly tables: readonly number[];
}

/** Indices of words in an entry, as `ENTRY` in apply.as. Positions are bytes in the payload of an expert. */
export const WORD = { codes: 5, scales: 6, zeroPoints: 7, slot: 8 } as const;
/** Kind, bits, scale type, group, table, codes, scales, zero points, and the number of the component in the list of B'. */
export const ENTRY_WORDS = 9;
/** Kind of a row of draws, as in apply.as. */
const DRAWS_KIND = 6;

/** Number of band plans whose programs are kept: some 8 MiB. */
const KEPT = 4096;
const kept = new Map<
  readonly Band[],
  {
    readonly out: number;
    readonly n: number;
    readonly lineage: boolean;
    readonly program: ApplyProgram;
  }[]
>();

/**
 * Makes the program of a module, or finds it among the kept ones.
 *
 * @param lineage for a module with a parent, and for its parents: components are numbered as in the module
 */
export function programOf(shape: ModuleShape, bands: readonly Band[], lineage: boolean): ApplyProgram {
  const n = inputLength(shape);
  let own = kept.get(bands);
  const known = own?.find((one) => one.out === shape.out && one.n === n && one.lineage === lineage);
  if (known !== undefined) return known.program;
  const program = makeProgram(shape, bands, lineage);
  if (own === undefined) {
    // The first key of a Map is the oldest.
    if (kept.size >= KEPT) for (const first of kept.keys()) if (kept.delete(first)) break;
    kept.set(bands, (own = []));
  }
  own.push({ out: shape.out, n, lineage, program });
  return program;
}

function makeProgram(shape: ModuleShape, bands: readonly Band[], lineage: boolean): ApplyProgram {
  const places = { b: [] as Place[], a: [] as Place[], mix: [] as Place[] };
  const payloadBytes = walkPlanes(shape, bands, ({ band, factor, plane, offset }) => {
    (places[factor][band] ??= { codes: 0, scales: 0, zeroPoints: 0 })[plane] = offset;
  });
  const tables = new Set<number>();
  const lengths = vectorLengths(shape, bands);
  const make = (factor: Factor, slots?: readonly number[]): ReturnType<typeof makeFactor> =>
    makeFactor(factor, lengths[factor], bands, places[factor], slots, tables, lineage);
  const all = lineage ? Array.from({ length: lengths.mix }, (_, c) => c) : undefined;
  const b = make("b", all);
  const a = make("a", b.slots);
  let start: StartProgram | undefined;
  if (hasStart(bands)) {
    const rows = Array.from({ length: lengths.mix }, (_, k) => [
      ...[DRAWS_KIND, 0, 0, 0, 0],
      ...[2 * k * lengths.a, 0, 0, k],
    ]);
    start = { rank: lengths.mix, draws: Int32Array.from(rows.flat()), mix: make("mix", b.slots) };
  }
  const lists = [a.words, b.words, ...(start === undefined ? [] : [start.draws, start.mix.words])];
  return {
    a,
    b,
    start,
    lists: lists.map(({ buffer }) => new Uint8Array(buffer)),
    components: lineage ? lengths.mix : b.encodings.length,
    payloadBytes,
    expertStride: align(payloadBytes, EXPERT_ALIGNMENT),
    tables: [...tables],
  };
}

type Place = Record<"codes" | "scales" | "zeroPoints", number>;

/** @param slots slots of components by their number among those that take part; default: the position in the list */
function makeFactor(
  factor: Factor,
  length: number,
  bands: readonly Band[],
  places: readonly Place[],
  slots: readonly number[] | undefined,
  tables: Set<number>,
  lineage: boolean,
): FactorProgram & { readonly slots: readonly number[] } {
  const words: number[] = [];
  const encodings: Lowered[] = [];
  const given: number[] = slots === undefined ? [] : [...slots];
  let straight = 0;
  for (const rotated of [false, true]) {
    let number = 0;
    bands.forEach((band, i) => {
      if (!lineage && !takesPart(band)) return;
      const lowered = lowerFactor(band, factor);
      const first = number;
      number += band.components;
      if (lowered.kind === "nothing" || lowered.rotated !== rotated) return;
      if (lowered.table !== undefined) tables.add(lowered.table.number);
      const { kind, bits, scale, group, lut } = kindOf({ ...lowered, rotated: false });
      const each = sizesOf(lowered, 1, length);
      const { codes, scales, zeroPoints } = places[i]!;
      for (let c = 0; c < band.components; c++) {
        const slot = slots?.[first + c] ?? encodings.length;
        given[first + c] = slot;
        words.push(kind, bits, scale, group, lut);
        words.push(codes + c * each.codes, scales + c * each.scales, zeroPoints + c * each.zeroPoints, slot);
        encodings.push(lowered);
      }
    });
    if (!rotated) straight = encodings.length;
  }
  return { words: Int32Array.from(words), encodings, straight, slots: given };
}

/** Whether components of a band store anything in both factors. */
function takesPart({ a, b }: Band): boolean {
  return lower(b).kind !== "nothing" && (a.mix !== undefined || lower(a).kind !== "nothing");
}
