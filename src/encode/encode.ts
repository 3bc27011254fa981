/**
 * Adapter → `.lqa`: quantizes each module, then writes the file. This is the only file that joins the parts of the encoder.
 *
 * @module
 */

import {
  createWriter,
  hasStart,
  type ModuleInput,
  nonfiniteElement,
  type PlannedModule,
  type SectionInput,
} from "../core/format.ts";
import type { LqaFile, ModuleStart } from "../core/index.ts";
import { concat, sortByName, toHex } from "../core/rooms.ts";

import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import {
  type Adapter,
  consistentMultiplier,
  type ModuleShape,
  type PlainTensor,
  parameterCount,
  shapeOf,
} from "../model/adapter.ts";
import type { Calibration } from "../model/calibration.ts";
import { type Parents, parentsOf } from "./parents.ts";
import { quantizeAdapter, type Surroundings } from "./quantize/adapter.ts";
import { estimateDivergence, type Outlook, outlookOf } from "./quantize/answers.ts";
import {
  type QuantizeOptions,
  type QuantizeSettings,
  type RdOptions,
  resolveOptions,
} from "./quantize/profile.ts";
import {
  DROPPED_ERROR,
  type ModuleQuality,
  restoredError,
  totalQuality,
  WEAK_ERROR,
} from "./quantize/quality.ts";
import { type Executor, inline } from "./quantize/tasks.ts";
import {
  type NarrowedTensors,
  narrowTensors,
  resolveTensorPolicy,
  type TensorPolicy,
} from "./quantize/tensors.ts";
import { clearlySmaller, lossOf, refusedStarts, startUsed, tunedResult, type UsedStart } from "./results.ts";
import { adapterSections, fingerprint } from "./sections.ts";
import { type StartChoice, startsOf } from "./start/starts.ts";

/** Options of {@link encodeAdapter}. An option of another profile does not compile. */
export type EncodeOptions = QuantizeOptions & EncodeControls;

/** The options that do not depend on the profile. */
export interface EncodeControls {
  /** Chunk alignment in bytes, a power of two from 4 to 4096. Default: up to 64, as long as it costs less than 0.1 %. */
  readonly alignment?: number;
  /** How to store plain tensors. Default `zstd`: unchanged, compressed if that makes them smaller. */
  readonly tensors?: TensorPolicy;
  /**
   * The random start of A, so that only the changes by training are stored: not used (`none`, the default), searched for
   * (`auto`), or the seed of torch's CPU generator. Only with the profile `rd`; if it does not pay off, the file stays the same.
   */
  readonly start?: StartChoice | undefined;
  /**
   * An open file of which this adapter is the next version or a variant. The file then stores differences from it, in the modules
   * where that pays off, and decoding needs the parent. Only with the profile `rd`; best with `maxError`, because with other
   * goals the file does not become smaller.
   */
  readonly parent?: LqaFile | undefined;
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖² of an earlier encoding of this adapter: META then states the sum. Default 0. */
  readonly sourceError?: number | undefined;
  /**
   * Measurements of the modules, made by running the base model: see `readCalibration`. With moments the report has
   * `outputError`; with sensitivities its `divergence` is more exact, for the modules that have them. `rd` follows the
   * calibration unless `weighted` is false.
   */
  readonly calibration?: Calibration;
  /** Performs the tasks. Default: one after the other on this thread. */
  readonly executor?: Executor;
  /**
   * Called after each task. `total` counts the modules of the task's phase, and `name` is the phase and the module
   * (`coding model.layers.0.…`). `done` begins with 1 in each phase.
   */
  readonly onProgress?: (done: number, total: number, name: string) => void;
  readonly signal?: AbortSignal;
}

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

export interface Encoded {
  readonly bytes: Uint8Array;
  readonly report: EncodeReport;
}

/** Longest time that the encoder computes before it lets timers, abort signals and progress lines run. */
const PAUSE_MS = 50;

/**
 * Encodes an adapter. The result depends only on the adapter and the options: every runtime gives the same bytes.
 *
 * @throws LqaError SOURCE_NONFINITE, SOURCE_RANGE, HARD_LIMIT, NAME_ENCODING, NAME_ORDER (two modules of one name),
 *   TENSOR_RECORD, MULTIPLIER, ABORTED; USAGE if no module of the parent fits; as `LqaFile.decode` for the parent
 */
export async function encodeAdapter(source: Adapter, options: EncodeOptions = {}): Promise<Encoded> {
  const resolved = resolveOptions(options);
  let weighted = false;
  if (resolved.profile === "rd") {
    if (resolved.weighted === true && options.calibration === undefined)
      fail(KIND.USAGE, { where: "weighted", expected: "a calibration file as well", actual: "none" });
    weighted = options.calibration !== undefined && (options as RdOptions).weighted !== false;
  }
  if (
    options.parent !== undefined &&
    (resolved.profile !== "rd" || options.calibration?.tuning !== undefined)
  )
    fail(KIND.USAGE, {
      where: "parent",
      expected: "the profile rd, without a tuning",
      actual: resolved.profile === "rd" ? "a tuning in the calibration" : `profile ${resolved.profile}`,
    });
  const quantize = weighted ? { ...resolved, weighted } : resolved;
  const policy = resolveTensorPolicy(options.tensors);
  checkTensors(source.tensors);
  const { adapter, narrowed } = policy === "f16" ? narrowTensors(source) : { adapter: source };
  // In the order of the file, so that the order of the source does not even change the rounding of sums.
  const { items } = sortByName(
    adapter.modules,
    (module) => module.name,
    () => 0,
    "module",
  );
  const rest = {
    tensors: adapter.tensors,
    compressTensors: policy !== "keep",
    ...(options.alignment === undefined ? {} : { alignment: options.alignment }),
  };
  const settings = {
    ...quantize,
    tensors: policy === "zstd" ? undefined : policy,
    calibration: weighted ? fingerprint(options.calibration) : undefined,
  };
  // META states the error. Most errors take as many bytes as 1/3 does; 0 and 1 take fewer.
  const sections = (error: number): SectionInput[] =>
    adapterSections(adapter, settings, error + (options.sourceError ?? 0));
  const writer = await createWriter({ ...rest, sections: sections(1 / 3) });
  const encodeWith = async (starts: ReadonlyMap<string, ModuleStart>, parents?: Parents) => {
    const planned = (
      module: ModuleShape,
      { bands, fromParent }: Pick<PlannedModule, "bands"> & { readonly fromParent?: boolean },
    ): PlannedModule => ({
      ...recordShape(module),
      bands,
      ...(fromParent === true && {
        parentModule: parents!.modules.get(module.name)!.number,
        parentId: parents!.id,
      }),
    });
    const surroundings: Surroundings = {
      fileLength: (modules) =>
        writer.fileLength(
          modules.map((module) => ({ ...planned(module, module), start: starts.get(module.name) })),
        ),
      tensorBytes: writer.tensorBytes,
      executor: options.executor ?? inline,
      progress: paced(options),
    };
    const factors = new Map([...(parents?.modules ?? [])].map(([name, own]) => [name, own.factors]));
    const quantized = await quantizeAdapter(
      items,
      quantize,
      surroundings,
      options.calibration,
      starts,
      factors,
    );
    const qualities = quantized.map(({ quality }) => quality);
    const total = totalQuality(qualities);
    const [meta] = sections(total.relativeError);
    const packed = (own: "factors" | "untuned"): ModuleInput[] =>
      items.flatMap((module, i) => {
        const { [own]: factors, fromParent } = quantized[i]!;
        if (factors === undefined) return [];
        const start = hasStart(factors.bands) ? starts.get(module.name) : undefined;
        const plan = planned(module, { bands: factors.bands, fromParent: fromParent === true });
        return [{ ...plan, ...factors, ...(start && { start }) }];
      });
    const modules = packed("factors");
    const file = writer.prepare(modules, meta);
    const untuned = packed("untuned");
    const children = quantized.filter(({ fromParent = false }) => fromParent).length;
    const parent = children === 0 ? undefined : { contentId: parents!.id, modules: children };
    return {
      ...{ quantized, qualities, total, parent, file, bytes: concat([...file.pieces()]) },
      modules,
      refused: refusedStarts(modules),
      // The content id that the tuning was made for.
      untuned: untuned.length === 0 ? undefined : toHex(writer.prepare(untuned).contentId()),
    };
  };
  type Result = Awaited<ReturnType<typeof encodeWith>>;
  let starts =
    quantize.profile === "rd"
      ? startsOf(items, adapter.origin?.dialect, options.start ?? "none")
      : new Map<string, ModuleStart>();
  const results: Result[] = [];
  if (options.parent !== undefined)
    results.push(await encodeWith(new Map(), await parentsOf(items, options.parent, options.signal)));
  // Whether the file may be smaller, or lose less, without the parent.
  const other =
    quantize.profile !== "rd" || quantize.maxError === undefined || !clearlySmaller(results, options.parent);
  if (other) results.unshift(await encodeWith(new Map()));
  // The allocation does not price the state in the index, and its expected errors are not exact. So encode with and without.
  // A start that readers may refuse is left out, which changes the encoding of the others.
  while (other && starts.size > 0) {
    const result = await encodeWith(starts);
    if (result.refused.size === 0) {
      results.push(result);
      break;
    }
    starts = new Map([...starts].filter(([name]) => !result.refused.has(name)));
  }
  // Components of a parent have other losses than those of the module.
  const comparable = results.every(({ parent }) => parent === undefined);
  const byError = quantize.profile === "rd" && quantize.maxError !== undefined;
  const cost = ({ bytes, total, quantized: modules }: Result): number => {
    if (byError) return bytes.length;
    return comparable ? lossOf({ quantized: modules }) : (total.outputError ?? total.relativeError);
  };
  const tuning = weighted ? options.calibration?.tuning : undefined;
  const chosen =
    tuning === undefined
      ? results.reduce((x, y) => (cost(y) < cost(x) ? y : x))
      : tunedResult(results, tuning);
  const { qualities, total, parent, file, bytes } = chosen;
  // Where a parent is enough, nothing was encoded without one, and nothing with a start.
  const start = startUsed(chosen, other ? results[0] : undefined, byError);
  const parameters = adapter.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  // The estimate does not cover what was trained.
  const divergence =
    options.calibration?.tuning === undefined
      ? estimateDivergence(
          items,
          qualities,
          adapter.tensors.map(({ name }) => name),
        )
      : undefined;
  const divergenceFrom = total.divergence === undefined ? "weights" : "calibration";
  return {
    bytes,
    report: {
      settings: quantize,
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
      tensorPolicy: policy,
      ...(narrowed === undefined ? {} : { narrowed }),
      ...(parent && { parent }),
      ...(start && { start }),
      modules: file.modules.map(({ bytes: size }, i) => {
        const {
          energy: _energy,
          errorEnergy: _errorEnergy,
          outputEnergy: _outputEnergy,
          outputErrorEnergy: _outputErrorEnergy,
          ...quality
        } = qualities[i]!;
        const { fromParent = false } = chosen.quantized[i]!;
        return { ...quality, bytes: size, bitsPerParameter: (8 * size) / quality.parameters, fromParent };
      }),
    },
  };
}

/** Reports progress, stops if the caller aborted, and lets the event loop run now and then. */
export function paced(
  options: Pick<EncodeControls, "onProgress" | "signal">,
): (done: number, total: number, name: string) => Promise<void> {
  let pause = performance.now();
  return async (done, total, name) => {
    options.onProgress?.(done, total, name);
    if (performance.now() - pause > PAUSE_MS) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      pause = performance.now();
    }
    if (options.signal?.aborted) fail(KIND.ABORTED, { cause: options.signal.reason });
  };
}

/** A module's shape without its factors, with alpha as f32 and a rule that agrees with the stored numbers. */
function recordShape(module: ModuleShape): ModuleShape {
  const shape = shapeOf(module);
  const stored = { ...shape, alpha: Math.fround(shape.alpha) };
  return consistentMultiplier(stored, stored.rank) ? stored : { ...stored, rule: "explicit" };
}

function checkTensors(tensors: readonly PlainTensor[]): void {
  for (const { name, element, data } of tensors) {
    const at = nonfiniteElement(element, data);
    if (at >= 0) fail(KIND.SOURCE_NONFINITE, { where: `tensor "${name}"`, actual: `element ${at}` });
  }
}
