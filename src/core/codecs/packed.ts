/**
 * A module with its factors packed: what the encoder hands to the container, and the container to the decoder
 * (spec clauses 6.5 and 7.2).
 *
 * @module
 */
import type { Encoding, Planes } from "./encoding.ts";

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
}

/** The factors of a module, packed. Components are ordered by singular value, largest first. */
export interface PackedFactors {
  /** The band plan; the components add up to the rank. */
  readonly bands: readonly Band[];
  /** `[expert][band]`. */
  readonly planes: readonly (readonly PackedBand[])[];
}
