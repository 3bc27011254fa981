/**
 * Estimates from the weights alone how an encoding changes the answers of a language model.
 *
 * The loss of a module has two parts: shrinkage, along ΔW, and noise, orthogonal to it. Noise of many modules averages out;
 * shrinkage adds up, because all of it weakens the same answers. So shrinkage counts {@link SHRINKAGE} times. Transformers
 * normalize the inputs of layers, hence an error E changes the outputs of a layer, about as many as the model is wide,
 * by about ‖E‖² / width in the mean square. The sum over all modules predicts the Kullback-Leibler divergence of next tokens
 * from the original adapter, up to one constant. That constant was fitted to adapters of one small language model
 * (`python bench/functional/estimate.py`), and is far off on others. So the figure orders encodings of one adapter, and reports
 * print a class ({@link outlookOf}).
 *
 * @module
 */
import type { ModuleShape } from "../../model/adapter.ts";
import type { ModuleQuality } from "./quality.ts";

/** Weight of shrinkage relative to noise. */
const SHRINKAGE = 16;
/** Nats per token per unit of the sum over modules. */
const DIVERGENCE = 0.0132;
/** Tensors that only classifiers have. */
const HEADS = /(?:^|[._])(?:score|classifier|classification_head|qa_outputs)(?:[._]|$)/;
/** Names of layers in language decoders (`model.layers.0.`, `transformer.h.0.`), and in other parts and models. */
const LANGUAGE = /(?:^|\.)(?:layers|h)\.\d+\./;
const OTHERS = /(?:^|[._])(?:unet|vision|visual|image|audio|encoder|text_model)(?:[._]|$)/;

/**
 * What sensitivities say of an encoding is multiplied by this. Texts that a calibration used, of which the adapter has often
 * learned some, change less than others, and so do random errors than those of few bits.
 */
export const CALIBRATED = 4;

/**
 * What an encoding does to the answers of a language model, as far as its weights tell: `same` means that they are very likely the
 * same, `try` that somebody should try the task, `changes` that some answers change.
 */
export type Outlook = "same" | "try" | "changes";

/**
 * Largest divergence of `same`, and smallest of `changes`, by what the estimate comes from. On other models than the one that it was
 * fitted to, measured divergences were up to 295 times the estimate from the weights, and 14 times that of a calibration; so `same`
 * leaves room for these factors up to 0.03 nats, where a tenth of the right answers changes (bench/functional/outlook.py).
 */
const OUTLOOKS: Readonly<
  Record<"weights" | "calibration", { readonly same: number; readonly changes: number }>
> = { weights: { same: 1e-4, changes: 5e-3 }, calibration: { same: 5e-4, changes: 3e-2 } };
/** The same for the lost share of the energy of ΔW, without a calibration: it does not depend on the model's scale. */
const LOST = { same: 0.02, changes: 0.2 };

/** The outlook of an encoding. */
export function outlookOf(
  divergence: number,
  from: "weights" | "calibration",
  relativeError: number,
): Outlook {
  const { same, changes } = OUTLOOKS[from];
  const lost = from === "weights" ? relativeError : 0;
  if (divergence >= changes || lost >= LOST.changes) return "changes";
  return divergence < same && lost < LOST.same ? "same" : "try";
}

/**
 * Estimates the divergence that the losses of the modules add, in nats per token. A module with its own figure
 * (`quality.divergence`, from sensitivities measured with the model) counts with that.
 *
 * @param tensors names of the adapter's plain tensors
 * @returns undefined unless names and shapes of the layers are those of a language decoder that writes: no other model was measured
 */
export function estimateDivergence(
  shapes: readonly ModuleShape[],
  qualities: readonly ModuleQuality[],
  tensors: readonly string[] = [],
): number | undefined {
  const spoken = shapes.some(({ name }) => LANGUAGE.test(name));
  if ([...tensors, ...shapes.map(({ name }) => name)].some((name) => HEADS.test(name))) return undefined;
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
