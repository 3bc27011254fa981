/**
 * What applying a module comes down to: a list of the components of A' and one of those of B', each with its encoding and
 * where its planes begin in the payload.
 *
 * Components of which a factor is of the codec `zero` are left out: they contribute nothing. Those that are rotated come
 * last, because rotation is done to what weights are multiplied by (`apply-plain.ts`). A program depends on the band plan
 * and the lengths alone, which modules share, so that thousands of resident adapters have few of them.
 *
 * @module
 */
import type { Encoding } from "../codecs/encoding.ts";
import { planeSizes } from "../codecs/encoding.ts";
import { kindOf } from "../codecs/kernels/encoding-kinds.ts";
import type { Band } from "../codecs/packed.ts";
import { align } from "../container/bytes.ts";
import { EXPERT_ALIGNMENT, type PlaneExtent, walkPlanes } from "../container/layout.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";

/** One component of one factor. Places are bytes in the payload of an expert. */
export interface ComponentEntry {
  /** Without rotation: the weights that are multiplied are those before it. */
  readonly encoding: Encoding;
  readonly codes: number;
  readonly scales: number;
  readonly zeroPoints: number;
  /** Number of this component in the list of B'. */
  readonly slot: number;
}

/** One factor. */
export interface FactorProgram {
  readonly entries: readonly ComponentEntry[];
  /** How many of the entries, the first ones, are not rotated. */
  readonly straight: number;
  /** The entries for the kernel: {@link ENTRY_WORDS} each. */
  readonly words: Int32Array;
}

export interface ApplyProgram {
  readonly a: FactorProgram;
  readonly b: FactorProgram;
  /** Bytes of the planes of one expert, and from one expert's to the next one's. */
  readonly payloadBytes: number;
  readonly expertStride: number;
  /** Numbers of the trellis tables that are used. */
  readonly tables: readonly number[];
}

/** Kind, bits, scale type, group, table, codes, scales, zero points, slot: as `ENTRY` in apply.as. */
export const ENTRY_WORDS = 9;

const known = new WeakMap<readonly Band[], Map<string, ApplyProgram>>();

/** The program of a module; the same object for modules that share their bands (as records of one index do) and lengths. */
export function programOf(shape: ModuleShape, bands: readonly Band[]): ApplyProgram {
  let own = known.get(bands);
  if (own === undefined) known.set(bands, (own = new Map()));
  const key = `${shape.out} ${inputLength(shape)}`;
  let program = own.get(key);
  if (program === undefined) own.set(key, (program = makeProgram(shape, bands)));
  return program;
}

function makeProgram(shape: ModuleShape, bands: readonly Band[]): ApplyProgram {
  const places = new Map<string, number>();
  const keyOf = ({ band, factor, plane }: Pick<PlaneExtent, "band" | "factor" | "plane">): string =>
    `${band} ${factor} ${plane}`;
  const payloadBytes = walkPlanes(shape, bands, (extent) => void places.set(keyOf(extent), extent.offset));
  const lengths = { b: shape.out, a: inputLength(shape) };
  const active = bands.flatMap(({ components, b, a }, band) =>
    b.codec === "zero" || a.codec === "zero"
      ? []
      : Array.from({ length: components }, (_, c) => ({ band, c })),
  );
  const slots = new Map<string, number>();
  const factor = (which: "a" | "b"): FactorProgram => {
    const isRotated = ({ band }: { band: number }): boolean => {
      const encoding = bands[band]![which];
      return encoding.codec === "trellis" && encoding.rotation !== "none";
    };
    const straight = active.filter((component) => !isRotated(component));
    const ordered = [...straight, ...active.filter(isRotated)];
    const entries = ordered.map(({ band, c }, i) => {
      const stored = bands[band]![which];
      const encoding: Encoding = stored.codec === "trellis" ? { ...stored, rotation: "none" } : stored;
      const each = planeSizes(encoding, 1, lengths[which]);
      const place = (plane: PlaneExtent["plane"]): number =>
        places.get(keyOf({ band, factor: which, plane }))! + c * each[plane];
      const key = `${band} ${c}`;
      if (which === "b") slots.set(key, i);
      return {
        encoding,
        codes: place("codes"),
        scales: place("scales"),
        zeroPoints: place("zeroPoints"),
        slot: slots.get(key)!,
      };
    });
    return { entries, straight: straight.length, words: wordsOf(entries) };
  };
  // Slots are numbers in the list of B'.
  const b = factor("b");
  const used = new Set<number>();
  for (const band of bands)
    for (const { codec, ...encoding } of [band.b, band.a])
      if (codec === "trellis") used.add((encoding as { table: number }).table);
  return {
    a: factor("a"),
    b,
    payloadBytes,
    expertStride: align(payloadBytes, EXPERT_ALIGNMENT),
    tables: [...used],
  };
}

function wordsOf(entries: readonly ComponentEntry[]): Int32Array {
  const words = new Int32Array(ENTRY_WORDS * entries.length);
  entries.forEach(({ encoding, codes, scales, zeroPoints, slot }, i) => {
    const { kind, bits, scale, group, lut } = kindOf(encoding);
    words.set([kind, bits, scale, group, lut, codes, scales, zeroPoints, slot], ENTRY_WORDS * i);
  });
  return words;
}
