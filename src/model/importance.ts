/**
 * How much the input channels of modules matter: their second moments on calibration data.
 *
 * With inputs x, ΔW·x is off by (ΔW − ΔŴ)·x. Where the channels of x are uncorrelated, the expected square of that is Σ_j
 * E[x_j²] · ‖column j of ΔW − ΔŴ‖², so the moments are all that an encoder needs to know about the data to measure or
 * minimise the output error of a layer.
 *
 * @module
 */

/**
 * Name of a module to E[x_j²] of its inputs: finite, not negative, in the layout of A without its rank,
 * `[experts][in · kernel]`. A module that is absent has no moments.
 */
export type Moments = ReadonlyMap<string, Float64Array>;

/** Moments and where they come from. */
export interface Importance {
  readonly moments: Moments;
  /** The file they were read from, or any other bytes that identify them; its SHA-256 goes into META. */
  readonly source: Uint8Array;
}
