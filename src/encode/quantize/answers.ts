/**
 * What the losses of an encoding should do to the answers of a language model, estimated from the weights alone.
 *
 * The loss of a module has two parts: shrinkage, along ΔW, and noise, orthogonal to it. Noise of many modules averages out,
 * shrinkage adds up, because all of it weakens the same answers. So shrinkage counts {@link SHRINKAGE} times. Inputs of layers
 * are normalized in transformers, hence an error E changes the outputs of a layer, which are about as many as the model is wide,
 * by about ‖E‖² / width in the mean square. The sum over all modules predicts the Kullback-Leibler divergence of next tokens
 * from the original adapter, up to one constant, and the divergence predicts how many right answers change.
 *
 * The constants were fitted to adapters of one small language model, leaving out an adapter, a task or a shape at a time
 * to see how far off the prediction is: docs/results.md, `python bench/functional/estimate.py`.
 *
 * @module
 */
import type { ModuleShape } from "../../model/adapter.ts";
import type { ModuleQuality } from "./quality.ts";

/** What shrinkage counts, if noise counts 1. */
const SHRINKAGE = 40;
/** Nats per token for each unit of the sum over modules. */
const DIVERGENCE = 0.0057;
/** The share of right answers that change is 1 − exp(−NEAR · √divergence − FAR · divergence). */
const NEAR = 0.4;
const FAR = 3.3;

/** Layers of decoders of language (`model.layers.0.`, `transformer.h.0.`), and of parts and models that are none. */
const LANGUAGE = /(?:^|\.)(?:layers|h)\.\d+\./;
const OTHERS = /(?:^|[._])(?:unet|vision|visual|image|audio|encoder|text_model)(?:[._]|$)/;

/** How far off the divergence estimated from weights is, up or down, for nine of ten encodings that were measured. */
export const ESTIMATE_FACTOR = 4;

/** The share of right answers that change from which on `encode` warns. */
export const RISKY_CHANGE = 0.05;

/**
 * The divergence that the losses of the modules should add, in nats for each token. Modules with a figure of their own
 * (`quality.divergence`, by sensitivities measured with the model) count with that.
 *
 * @returns undefined unless the names and shapes of the layers are those of a decoder of language: no other model was measured
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
  // A token uses one row of an embedding, and is taken to use one of the experts.
  const uses = experts * (role === "embedding" ? inputs : 1);
  return (noise + SHRINKAGE * shrinkage) / uses;
}

/** The share of the adapter's right answers, of a dozen to two dozen tokens, that should change at this divergence. */
export function changedAnswers(divergence: number): number {
  return 1 - Math.exp(-NEAR * Math.sqrt(divergence) - FAR * divergence);
}
