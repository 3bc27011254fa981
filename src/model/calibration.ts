/**
 * Measurements from running the base model on texts: how much each input channel of a module matters, how much an error of
 * each component matters, in which directions, and what was trained for one encoding.
 *
 * @module
 */

/**
 * Name of a module to E[x_j²] of its inputs: finite, not negative, in the layout of A without its rank,
 * `[experts][in · kernel]`. A module that is absent has no moments.
 *
 * With inputs x, ΔW·x is off by (ΔW − ΔŴ)·x. If the channels of x are uncorrelated, the expected square of that error is
 * Σ_j E[x_j²] · ‖column j of ΔW − ΔŴ‖². So a measure of a layer's output error, or an encoder that minimizes it, needs only
 * the moments from the data.
 */
export type Moments = ReadonlyMap<string, Float64Array>;

/**
 * How much small errors of one component change the model's answers, in nats of Kullback-Leibler divergence for each token.
 * To the second order the change is ½ (b · n_b + a · n_a + joint · (1 − g)²). There, n_b (n_a) is the energy of the noise in
 * the component's vector of B' (of A') over the energy of that vector, and the component is g times as strong as before.
 * `lqa calibrate` measures the figures as mean squares of gradients, up to one factor that it finds with random noise.
 */
export interface Sensitivity {
  /** |multiplier| · singular value of the component. It identifies the adapter for which the figures hold. */
  readonly strength: number;
  readonly b: number;
  readonly a: number;
  readonly joint: number;
}

/** Name of a module to the sensitivities of its components, strongest first. */
export type Sensitivities = ReadonlyMap<string, readonly Sensitivity[]>;

/**
 * How errors of several weights of a vector add up. An error e counts by eᵀ H e with H = d I + Vᵀ V, where d makes the mean of H's
 * diagonal 1. The rows of V are the strongest directions of second moments, each with the root of its eigenvalue as its length.
 * At most 64, for a module without experts.
 */
export interface Directions {
  /** V for vectors of B', `[directions][out]`: of the gradients at the module's outputs. */
  readonly b: Float32Array;
  /** V for vectors of A', `[directions][in]`: of the module's inputs. */
  readonly a: Float32Array;
}

/** Vectors of a module to code in place of its own: `b` is `[components][out]`, `a` is `[components][in]`, strongest first. */
export interface TunedVectors {
  readonly b: Float32Array;
  readonly a: Float32Array;
}

/** What was trained for one encoding, so that the model answers as with the original adapter. */
export interface Tuning {
  /** Hexadecimal content id (spec clause 11.3) of the encoding without it. */
  readonly contentId: string;
  /** Name of a module to the multiplier of each component, strongest first, from 1/16 to 16. */
  readonly gains: ReadonlyMap<string, Float64Array>;
  /** Name of a module to its vectors, as many as it has gains. They get the bits that its own vectors got. */
  readonly vectors: ReadonlyMap<string, TunedVectors>;
}

/** Measurements that guide an encoder, with their source. */
export interface Calibration {
  readonly moments: Moments;
  readonly sensitivities?: Sensitivities;
  /** Whether the sensitivities are known up to a common factor only, as from gradients of training: then they give no divergence. */
  readonly relative?: boolean;
  /** Name of a module to its directions. The encoder of `rd` shapes the noise of trellis codes by them. */
  readonly directions?: ReadonlyMap<string, Directions>;
  readonly tuning?: Tuning;
  /** The file they were read from, or any other bytes that identify them; its SHA-256 goes into META. */
  readonly source: Uint8Array;
}
