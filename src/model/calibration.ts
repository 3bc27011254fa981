/**
 * Measurements from running the base model on texts: how much the input channels of modules matter, how much errors of
 * components matter, and factors trained for one encoding.
 *
 * @module
 */

/**
 * Name of a module to E[x_j²] of its inputs: finite, not negative, in the layout of A without its rank,
 * `[experts][in · kernel]`. A module that is absent has no moments.
 *
 * With inputs x, ΔW·x is off by (ΔW − ΔŴ)·x. Where the channels of x are uncorrelated, the expected square of that is
 * Σ_j E[x_j²] · ‖column j of ΔW − ΔŴ‖², so the moments are all that a measure of what a layer puts out, or an encoder
 * that minimizes it, needs to know about the data.
 */
export type Moments = ReadonlyMap<string, Float64Array>;

/**
 * What small errors of one component do to the model's answers, in nats of Kullback-Leibler divergence for each token (as
 * `lqa calibrate` measures it, of distributions softened by a temperature of 2), to the second order: ½ (b · n_b + a · n_a + joint · (1 − g)²), where the component's vector of B' (of A') has noise of n_b (n_a)
 * times its own energy, and the component is g times as strong as before. Each is the mean square of a gradient.
 */
export interface Sensitivity {
  /** |multiplier| · singular value of the component, which tells for which adapter the figures hold. */
  readonly strength: number;
  readonly b: number;
  readonly a: number;
  readonly joint: number;
}

/** Name of a module to the sensitivities of its components, strongest first. */
export type Sensitivities = ReadonlyMap<string, readonly Sensitivity[]>;

/** Factors for the components of one encoding, trained so that the model answers as with the adapter itself. */
export interface Gains {
  /** Hexadecimal content id (spec clause 11.3) of the encoding without them. */
  readonly contentId: string;
  /** Name of a module to the factor of each component, strongest first, from 1/16 to 16. */
  readonly factors: ReadonlyMap<string, Float64Array>;
}

/** What an encoder can be given to follow, and where it comes from. */
export interface Calibration {
  readonly moments: Moments;
  readonly sensitivities?: Sensitivities;
  readonly gains?: Gains;
  /** The file they were read from, or any other bytes that identify them; its SHA-256 goes into META. */
  readonly source: Uint8Array;
}
