/**
 * Estimates from the weights alone how an encoding changes the answers of a language model.
 *
 * The loss of a module has two parts: shrinkage, along ΔW, and noise, orthogonal to it. Noise of many modules averages out;
 * shrinkage adds up, because all of it weakens the same answers. So shrinkage counts {@link SHRINKAGE} times. Transformers
 * normalize the inputs of layers, hence an error E changes the outputs of a layer, about as many as the model is wide,
 * by about ‖E‖² / width in the mean square. The sum over all modules predicts the Kullback-Leibler divergence of next tokens
 * from the original adapter, up to one constant, and the divergence predicts how many right answers change.
 *
 * The constants were fitted to adapters of one small language model. Leaving out an adapter, a task or a shape at a time
 * measured the error of the prediction: docs/results.md, `python bench/functional/estimate.py`.
 *
 * @module
 */
import type { ModuleShape } from "../../model/adapter.ts";
import type { ModuleQuality } from "./quality.ts";

/** Weight of shrinkage relative to noise. */
const SHRINKAGE = 16;
/** Nats per token per unit of the sum over modules. */
const DIVERGENCE = 0.0132;
/** The share of right answers that change is 1 − exp(−NEAR · √divergence − FAR · divergence). */
const NEAR = 0.4;
const FAR = 3.3;

/** Names of layers in language decoders (`model.layers.0.`, `transformer.h.0.`), and in other parts and models. */
const LANGUAGE = /(?:^|\.)(?:layers|h)\.\d+\./;
const OTHERS = /(?:^|[._])(?:unet|vision|visual|image|audio|encoder|text_model)(?:[._]|$)/;

/**
 * What sensitivities say of an encoding is multiplied by this. Texts that a calibration used, of which the adapter has often
 * learned some, change less than others, and so do random errors than those of few bits.
 */
export const CALIBRATED = 4;

/** Factor by which the estimate is off, up or down, for nine of ten measured encodings, by what it comes from. */
export const ESTIMATE_FACTOR: Readonly<Record<"weights" | "calibration", number>> = {
  weights: 6,
  calibration: 3.5,
};

/** Share of changed right answers from which `encode` warns. */
export const RISKY_CHANGE = 0.05;

/**
 * Estimates the divergence that the losses of the modules add, in nats per token. A module with its own figure
 * (`quality.divergence`, from sensitivities measured with the model) counts with that.
 *
 * @returns undefined unless names and shapes of the layers are those of a language decoder: no other model was measured
 */
export function estimateDivergence(
  shapes: readonly ModuleShape[],
  qualities: readonly ModuleQuality[],
): number | undefined {
  const spoken = shapes.some(({ name }) => LANGUAGE.test(name));
  if (!spoken || shapes.some(({ name, kernel }) => kernel.length > 0 || OTHERS.test(name))) return undefined;
  const widths = shapes.map((shape) => (shape.role === "embedding" ? shape.out : shape.in));
  const width = widths.sort((x, y) => x - y)[widths.length >> 1]!;
  return shapes.reduce((sum, shape, i) => {
    const quality = qualities[i]!;
    return sum + (quality.divergence ?? (DIVERGENCE * lossOf(shape, quality)) / width);
  }, 0);
}

function lossOf({ role, in: inputs, experts }: ModuleShape, quality: ModuleQuality): number {
  const { energy, errorEnergy, gain } = quality;
  const shrinkage = (1 - gain) * (1 - gain) * energy;
  const noise = Math.max(0, errorEnergy - shrinkage);
  // A token uses one row of an embedding, and (an assumption) one of the experts.
  const uses = experts * (role === "embedding" ? inputs : 1);
  return (noise + SHRINKAGE * shrinkage) / uses;
}

/** Estimated share of the adapter's right answers, of about 12 to 24 tokens, that change at this divergence. */
export function changedAnswers(divergence: number): number {
  return 1 - Math.exp(-NEAR * Math.sqrt(divergence) - FAR * divergence);
}
