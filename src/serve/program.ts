/**
 * What applying a module comes down to: a list of the components of A' and one of those of B', each with its encoding and
 * where its planes begin in the payload.
 *
 * Components of which a factor stores nothing are left out: they contribute nothing. Of a module with a parent, or of a parent,
 * only that factor is left out, because the other generations may have the other one (spec clause 8.9). Those that are rotated come
 * last (`rotating.ts`). Where A' has a start, its draws are rows of weights as well, and what mixes them is a third list
 * (spec clause 8.8). A program is made in a few microseconds and takes one or two KiB, which for each module of thousands
 * of adapters would be too much: the programs used last are kept.
 *
 * @module
 */

import { type Lowered, sizesOf } from "../core/codecs/encoding.ts";
import { kindOf } from "../core/codecs/kernels/encoding-kinds.ts";
import { type Band, type Factor, hasStart, lowerFactor, vectorLengths } from "../core/codecs/packed.ts";
import { lower } from "../core/codecs/registry.ts";
import { align } from "../core/container/bytes.ts";
import { EXPERT_ALIGNMENT, walkPlanes } from "../core/container/layout.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";

/** The components of one factor that take part. */
export interface FactorProgram {
  /** {@link ENTRY_WORDS} for each component, as the kernel reads them. */
  readonly words: Int32Array;
  /** The encoding of each. */
  readonly encodings: readonly Lowered[];
  /** How many of the components, the first ones, are not rotated. */
  readonly straight: number;
}

/** What A' has in addition where it has a start. */
export interface StartProgram {
  /** Rows of draws of an expert. */
  readonly rank: number;
  /** An entry for each row; its codes are places in the draws of an expert. */
  readonly draws: Int32Array;
  /** What mixes the rows, for each component that has a start: vectors of `rank` weights. */
  readonly mix: FactorProgram;
}

export interface ApplyProgram {
  readonly a: FactorProgram;
  readonly b: FactorProgram;
  readonly start: StartProgram | undefined;
  /** How many components take part; in a lineage all of them. */
  readonly components: number;
  /** Bytes of the planes of one expert, and from one expert's to the next one's. */
  readonly payloadBytes: number;
  readonly expertStride: number;
  /** Numbers of the trellis tables that are used. */
  readonly tables: readonly number[];
}

/** Words of an entry, by place: as `ENTRY` in apply.as. Places are bytes in the payload of an expert. */
export const WORD = { codes: 5, scales: 6, zeroPoints: 7, slot: 8 } as const;
/** Kind, bits, scale type, group, table, codes, scales, zero points, and the number of the component in the list of B'. */
export const ENTRY_WORDS = 9;
/** Kind of a row of draws, as in apply.as. */
const DRAWS_KIND = 6;

/** Band plans whose programs are kept: some 8 MiB. */
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
 * The program of a module.
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
    // The first key is the one that was set first.
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
  return {
    a,
    b,
    start,
    components: lineage ? lengths.mix : b.encodings.length,
    payloadBytes,
    expertStride: align(payloadBytes, EXPERT_ALIGNMENT),
    tables: [...tables],
  };
}

type Place = Record<"codes" | "scales" | "zeroPoints", number>;

/** @param slots of components by their number among those that take part; without them the list gives them */
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

/** Whether components of a band are more than nothing. */
function takesPart({ a, b }: Band): boolean {
  return lower(b).kind !== "nothing" && (a.mix !== undefined || lower(a).kind !== "nothing");
}
