/**
 * Adapter → `.lqa`: makes the encodings that may be the best (`encoding.ts`), and chooses one of them. With `encoding.ts` the only
 * file that joins the parts of the encoder.
 *
 * @module
 */

import { createWriter, nonfiniteElement, type SectionInput } from "../core/format.ts";
import type { LqaFile, ModuleStart } from "../core/index.ts";
import { sortByName } from "../core/rooms.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, LqaError } from "../errors.ts";
import type { Adapter, PlainTensor } from "../model/adapter.ts";
import type { Calibration } from "../model/calibration.ts";
import { type Encodable, type EncodedAdapter, encodeWith } from "./encoding.ts";
import { decodeParents } from "./parents.ts";
import {
  type QuantizeOptions,
  type QuantizeSettings,
  type RdOptions,
  resolveOptions,
} from "./quantize/profile.ts";
import { type Executor, inline } from "./quantize/tasks.ts";
import { narrowTensors, resolveTensorPolicy, type TensorPolicy } from "./quantize/tensors.ts";
import { type EncodeReport, reportOf } from "./report.ts";
import { clearlySmaller, lossOfEncoding, startUsed, tunedResult } from "./results.ts";
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
   * The random start of A, so that only the changes by training are stored: not used (`none`), searched for (`auto`), or the
   * seed of torch's CPU generator. Only with the profile `rd`; if it does not pay off, the file stays the same. Default: `auto`,
   * but `none` with a parent or `maxError`, where a start makes the file smaller and not more faithful.
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
  /** The step of training that the adapter is of: META states it, so that readers of updates know their order. */
  readonly step?: number | undefined;
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
  const settings = settingsOf(options);
  const tensorPolicy = resolveTensorPolicy(options.tensors);
  checkTensors(source.tensors);
  const { adapter, narrowed } =
    tensorPolicy === "f16" ? narrowTensors(source) : { adapter: source, narrowed: undefined };
  const encodable = await encodableOf(adapter, settings, tensorPolicy, options);
  const { results, plain } = await encodings(encodable, adapter, options);
  const byError = boundsError(settings);
  const tuning = isWeighted(settings) ? options.calibration?.tuning : undefined;
  const chosen = tuning === undefined ? cheapest(results, byError) : tunedResult(results, tuning);
  const start = startUsed(chosen, plain, byError);
  const report = reportOf(adapter, chosen, options.calibration, { settings, tensorPolicy, narrowed, start });
  return { bytes: chosen.bytes, report };
}

/** The options in force, checked with the calibration and the parent. @throws LqaError USAGE */
function settingsOf(options: EncodeOptions): QuantizeSettings {
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
  return resolved.profile === "rd" && weighted ? { ...resolved, weighted } : resolved;
}

/** Whether the encoder follows the calibration. */
const isWeighted = (settings: QuantizeSettings): boolean =>
  settings.profile === "rd" && settings.weighted === true;

/** Whether the goal is an error, and not a size. */
const boundsError = (settings: QuantizeSettings): boolean =>
  settings.profile === "rd" && settings.maxError !== undefined;

async function encodableOf(
  adapter: Adapter,
  quantize: QuantizeSettings,
  policy: TensorPolicy,
  options: EncodeOptions,
): Promise<Encodable> {
  // In the order of the file, so that the order of the source does not even change the rounding of sums.
  const { items } = sortByName(
    adapter.modules,
    (module) => module.name,
    () => 0,
    "module",
  );
  const settings = {
    ...quantize,
    tensors: policy === "zstd" ? undefined : policy,
    calibration: isWeighted(quantize) ? fingerprint(options.calibration) : undefined,
  };
  // META states the error. Most errors take as many bytes as 1/3 does; 0 and 1 take fewer.
  const sections = (error: number): SectionInput[] =>
    adapterSections(adapter, settings, error + (options.sourceError ?? 0), options.step);
  const writer = await createWriter({
    tensors: adapter.tensors,
    compressTensors: policy !== "keep",
    sections: sections(1 / 3),
    ...(options.alignment === undefined ? {} : { alignment: options.alignment }),
  });
  return {
    items,
    settings: quantize,
    calibration: options.calibration,
    writer,
    meta: (error) => sections(error)[0]!,
    surroundings: { executor: options.executor ?? inline, progress: paced(options) },
  };
}

/**
 * The encodings to choose from: without starts and parent, with the starts found, and against the parent. `plain` is the first of
 * them; where a parent is enough, nothing is encoded without one, and nothing with a start.
 */
async function encodings(
  encodable: Encodable,
  { origin }: Adapter,
  { start, parent, signal }: EncodeOptions,
): Promise<{ readonly results: readonly EncodedAdapter[]; readonly plain: EncodedAdapter | undefined }> {
  const { items, settings } = encodable;
  const choice = start ?? (parent !== undefined || boundsError(settings) ? "none" : "auto");
  let starts =
    settings.profile === "rd" ? startsOf(items, origin?.dialect, choice) : new Map<string, ModuleStart>();
  const results: EncodedAdapter[] = [];
  if (parent !== undefined) {
    const parents = await decodeParents(items, parent, signal);
    results.push(...(await ifReachable(encodeWith(encodable, new Map(), parents))));
  }
  // Whether the file may be smaller, or lose less, without the parent.
  if (boundsError(settings) && clearlySmaller(results, parent)) return { results, plain: undefined };
  const whole = encodeWith(encodable, new Map());
  const [plain] = results.length === 0 ? [await whole] : await ifReachable(whole);
  if (plain === undefined) return { results, plain };
  results.unshift(plain);
  // The allocation does not price the state in the index, and its expected errors are not exact. So encode with and without.
  // A start that readers may refuse is left out, which changes the encoding of the others.
  while (starts.size > 0) {
    const result = await encodeWith(encodable, starts);
    if (result.refused.size === 0) {
      results.push(result);
      break;
    }
    starts = new Map([...starts].filter(([name]) => !result.refused.has(name)));
  }
  return { results, plain };
}

/** An encoding, or none if it cannot reach the goal: with a parent another goal may be out of reach than without one. */
async function ifReachable(encoding: Promise<EncodedAdapter>): Promise<EncodedAdapter[]> {
  try {
    return [await encoding];
  } catch (error) {
    if (error instanceof LqaError && error.kind === "USAGE") return [];
    throw error;
  }
}

/** The smallest encoding if all have one error, and otherwise the one that loses least. */
function cheapest(results: readonly EncodedAdapter[], byError: boolean): EncodedAdapter {
  // Components of a parent have other losses than those of the module.
  const comparable = results.every(({ parent }) => parent === undefined);
  const cost = ({ bytes, total, quantized }: EncodedAdapter): number => {
    if (byError) return bytes.length;
    return comparable ? lossOfEncoding({ quantized }) : (total.outputError ?? total.relativeError);
  };
  return results.reduce((x, y) => (cost(y) < cost(x) ? y : x));
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

function checkTensors(tensors: readonly PlainTensor[]): void {
  for (const { name, element, data } of tensors) {
    const at = nonfiniteElement(element, data);
    if (at >= 0) fail(KIND.SOURCE_NONFINITE, { where: `tensor "${name}"`, actual: `element ${at}` });
  }
}
