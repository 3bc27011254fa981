/**
 * The report of an encoding: its size and quality.
 *
 * @module
 */
import { type Adapter, parameterCount } from "../model/adapter.ts";
import type { Calibration } from "../model/calibration.ts";
import type { EncodedAdapter } from "./encoding.ts";
import { estimateDivergence, type Outlook, outlookOf } from "./quantize/answers.ts";
import type { QuantizeSettings } from "./quantize/profile.ts";
import { DROPPED_ERROR, type ModuleQuality, restoredError, WEAK_ERROR } from "./quantize/quality.ts";
import type { NarrowedTensors, TensorPolicy } from "./quantize/tensors.ts";
import type { UsedStart } from "./results.ts";

/** Quality and size of one module. */
export interface ModuleReport
  extends Omit<ModuleQuality, "energy" | "errorEnergy" | "outputEnergy" | "outputErrorEnergy"> {
  /** Size of its chunk, with CRC-32 and padding. */
  readonly bytes: number;
  /** 8 · bytes / parameters. */
  readonly bitsPerParameter: number;
  /** Whether the file stores the difference from the parent. */
  readonly fromParent: boolean;
}

/** Size and quality of an encoding. */
export interface EncodeReport {
  /** The options in force, defaults filled in. */
  readonly settings: QuantizeSettings;
  /** Parameters of all factors: Σ rank · (out + in · kernel), without plain tensors. */
  readonly parameters: number;
  readonly outputBytes: number;
  /** Codes, scales and zero points, averaged over parameters: how papers count (arXiv 2510.26690, §4). */
  readonly averageBits: number;
  /** 8 · (outputBytes − plain tensor bytes) / parameters: everything else counts, including index and metadata. */
  readonly bitsPerParameter: number;
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖² over all modules. */
  readonly relativeError: number;
  readonly snrDb: number;
  /**
   * ‖ΔW − ΔŴ‖² over all modules, multipliers included. Among adapters of one base model it predicts the order of encodings by
   * task results better than `relativeError` (docs/results.md); its scale depends on the base model.
   */
  readonly errorEnergy: number;
  /** ‖ΔW‖² over all modules, multipliers included: 0 if the adapter changes nothing. */
  readonly energy: number;
  /** ⟨ΔW, ΔŴ⟩ / ‖ΔW‖² over all modules: below 1 the adapter is weaker. */
  readonly gain: number;
  /**
   * The `relativeError` if one factor per module brought its gain to 1. Compares codecs that weaken an adapter with codecs that
   * do not.
   */
  readonly restoredError: number;
  /** Number of modules of which next to nothing is left: `relativeError` of 0.999 or more. */
  readonly droppedModules: number;
  /** Number of modules that lost over half of their energy (`relativeError` above 0.5), dropped ones included. */
  readonly weakModules: number;
  /** Lost share of the modules' output energy, over the modules with moments; absent if none has any. */
  readonly outputError?: number;
  /**
   * Compares encodings of one adapter: estimated Kullback-Leibler divergence of the model's next tokens from those with the original
   * adapter. Absent for models other than language decoders, and for a tuned encoding. Its scale is off by up to 295 times from
   * the weights, and 14 times from a calibration: people need `outlook`.
   */
  readonly divergence?: number;
  /**
   * The source of `divergence`: sensitivities of the calibration, for texts like those that it used, or only the
   * weights.
   */
  readonly divergenceFrom?: "calibration" | "weights";
  /** What should happen to the model's answers; present with `divergence`. */
  readonly outlook?: Outlook;
  /** Number of plain tensors; `tensorBytes`: their stored size. */
  readonly tensors: number;
  readonly tensorBytes: number;
  readonly tensorPolicy: TensorPolicy;
  /** The effect of rounding them to F16; absent with another policy. */
  readonly narrowed?: NarrowedTensors;
  readonly start?: UsedStart;
  /** The parent that the file needs: its hexadecimal content id, and the number of modules stored as differences from it. */
  readonly parent?: { readonly contentId: string; readonly modules: number };
  readonly modules: readonly ModuleReport[];
}

/** Reports an encoding. @param adapter the adapter, as it was encoded */
export function reportOf(
  adapter: Adapter,
  { items, qualities, total, parent, file, bytes, quantized }: EncodedAdapter,
  calibration: Calibration | undefined,
  chosen: Pick<EncodeReport, "settings" | "tensorPolicy"> & {
    readonly narrowed: NarrowedTensors | undefined;
    readonly start: UsedStart | undefined;
  },
): EncodeReport {
  const parameters = adapter.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  // The estimate does not cover what was trained.
  const divergence =
    calibration?.tuning === undefined
      ? estimateDivergence(
          items,
          qualities,
          adapter.tensors.map(({ name }) => name),
        )
      : undefined;
  const divergenceFrom = total.divergence === undefined ? "weights" : "calibration";
  const { settings, tensorPolicy, narrowed, start } = chosen;
  return {
    settings,
    parameters,
    outputBytes: bytes.length,
    averageBits: total.averageBits,
    bitsPerParameter: parameters === 0 ? 0 : (8 * (bytes.length - file.tensorBytes)) / parameters,
    relativeError: total.relativeError,
    snrDb: total.snrDb,
    errorEnergy: total.errorEnergy,
    energy: total.energy,
    gain: total.gain,
    restoredError: restoredError(qualities),
    droppedModules: qualities.filter(({ relativeError }) => relativeError >= DROPPED_ERROR).length,
    weakModules: qualities.filter(({ relativeError }) => relativeError > WEAK_ERROR).length,
    ...(total.outputError === undefined ? {} : { outputError: total.outputError }),
    ...(divergence !== undefined && {
      divergence,
      divergenceFrom,
      outlook: outlookOf(divergence, divergenceFrom, total.relativeError),
    }),
    tensors: adapter.tensors.length,
    tensorBytes: file.tensorBytes,
    tensorPolicy,
    ...(narrowed === undefined ? {} : { narrowed }),
    ...(parent && { parent }),
    ...(start && { start }),
    modules: file.modules.map(({ bytes: size }, i) =>
      moduleReport(size, qualities[i]!, quantized[i]!.fromParent === true),
    ),
  };
}

function moduleReport(bytes: number, quality: ModuleQuality, fromParent: boolean): ModuleReport {
  const {
    energy: _energy,
    errorEnergy: _errorEnergy,
    outputEnergy: _outputEnergy,
    outputErrorEnergy: _outputErrorEnergy,
    ...shown
  } = quality;
  return { ...shown, bytes, bitsPerParameter: (8 * bytes) / quality.parameters, fromParent };
}
