/**
 * Packed factors of a module, which the encoder passes to the container, and the container to the decoder (spec clauses 6.5
 * and 7.2).
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import type { Encoding, Lowered, Planes } from "./encoding.ts";
import { lower } from "./registry.ts";
import { lowerMix, type ModuleStart, mixEncoding } from "./start/start.ts";

/** The kinds of vectors of a band: those of B', those of A', and those that mix the draws of a start of A' (spec 8.8). */
export type Factor = "b" | "a" | "mix";

/** Names of the factors in errors. */
export const FACTOR_NAMES: Readonly<Record<Factor, string>> = { b: "B'", a: "A'", mix: "mixture of A'" };

/** A run of consecutive components that share an encoding for B' and one for A' (spec 6.5). */
export interface Band {
  /** Number of components, at least 1. */
  readonly components: number;
  readonly b: Encoding;
  readonly a: Encoding;
}

/** The planes of one band of one expert. */
export interface PackedBand {
  readonly b: Planes;
  readonly a: Planes;
  /** Planes of the vectors that mix the draws of the start; absent or empty if A' has no start (spec 8.8). */
  readonly mix?: Planes;
}

/** The factors of a module, packed. Components are ordered by singular value, largest first. */
export interface PackedFactors {
  /** The band plan; the components add up to the rank. */
  readonly bands: readonly Band[];
  /** `[expert][band]`. */
  readonly planes: readonly (readonly PackedBand[])[];
  /** Where the draws of A' begin, if a vector of it has a start (spec 8.8). */
  readonly start?: ModuleStart | undefined;
  /**
   * The packed factors of the parent's module, to which decoding adds these, if the file has a parent (spec 8.9). If the caller
   * did not provide the parent, this is its content id, hexadecimal; such factors cannot be decoded.
   */
  readonly parent?: PackedFactors | string | undefined;
}

/** The encoding of a factor of a band. */
export function encodingOf(band: Band, factor: Factor): Encoding {
  return factor === "mix" ? mixEncoding(band.a) : band[factor];
}

/** The lowered form of `encodingOf`. */
export function lowerFactor(band: Band, factor: Factor): Lowered {
  return factor === "mix" ? lowerMix(band.a) : lower(band[factor]);
}

/** Number of weights in a vector of each factor. */
export function vectorLengths(
  shape: Pick<ModuleShape, "out" | "in" | "kernel">,
  bands: readonly Band[],
): Readonly<Record<Factor, number>> {
  return { b: shape.out, a: inputLength(shape), mix: rankOf(bands) };
}

/** The rank: components of all bands together. */
export function rankOf(bands: readonly Pick<Band, "components">[]): number {
  return bands.reduce((sum, { components }) => sum + components, 0);
}

/** The factors of a parent. @throws LqaError PARENT_MISSING if `parent` is only a content id */
export function givenParent(parent: PackedFactors | string, module: string): PackedFactors {
  if (typeof parent !== "string") return parent;
  return fail(KIND.PARENT_MISSING, {
    where: `module "${module}"`,
    expected: `the file with content id ${parent}`,
    actual: "none",
  });
}

/** Whether any vector of A' has a start. */
export function hasStart(bands: readonly Band[]): boolean {
  return bands.some(({ a }) => a.mix !== undefined);
}
