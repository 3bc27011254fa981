/**
 * A module with its factors packed: what the encoder hands to the container, and the container to the decoder
 * (spec clauses 6.5 and 7.2).
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import type { Encoding, Lowered, Planes } from "./encoding.ts";
import { lower } from "./registry.ts";
import { lowerMix, type ModuleStart, mixEncoding } from "./start/start.ts";

/** What a band has vectors of: B', A', and how the draws of the start of A' are mixed (spec 8.8). */
export type Factor = "b" | "a" | "mix";

/** As errors name them. */
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
  /** How the draws of the start are mixed; empty where A' has no start (spec 8.8). */
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
   * The packed factors of the parent's module, to which these are added when they are decoded, if there is one (spec 8.9). The
   * content id of the parent, hexadecimal, where the parent was not given: such factors cannot be decoded.
   */
  readonly parent?: PackedFactors | string | undefined;
}

/** How the vectors of a factor of a band are stored. */
export function encodingOf(band: Band, factor: Factor): Encoding {
  return factor === "mix" ? mixEncoding(band.a) : band[factor];
}

/** What that comes down to. */
export function lowerFactor(band: Band, factor: Factor): Lowered {
  return factor === "mix" ? lowerMix(band.a) : lower(band[factor]);
}

/** Weights of a vector of each factor. */
export function vectorLengths(
  shape: Pick<ModuleShape, "out" | "in" | "kernel">,
  bands: readonly Band[],
): Readonly<Record<Factor, number>> {
  return { b: shape.out, a: inputLength(shape), mix: rankOf(bands) };
}

/** Components of a module. */
export function rankOf(bands: readonly Pick<Band, "components">[]): number {
  return bands.reduce((sum, { components }) => sum + components, 0);
}

/** The factors of a parent. @throws LqaError PARENT_MISSING for the content id of one that was not given */
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
