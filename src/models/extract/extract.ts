/**
 * A LoRA adapter from a full fine-tuning: the strongest directions of `W_tuned − W_base`, layer by layer.
 *
 * One difference is in memory at a time, as float32. Models may have any size and number of shards: the extractor reads
 * ranges. The adapter depends only on the weights and the options, not on the shards, the order of tensors, or the engine.
 *
 * @module
 */
import { quoteName } from "../../adapters/json.ts";
import { assertNotAborted, type ByteSource } from "../../core/io/source.ts";
import { type TruncatedSvd, truncatedSvdSteps } from "../../encode/linalg/randomized-svd.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { RANK } from "../../limits.ts";
import { type Adapter, type LoraModule, type MetaValue, parameterCount } from "../../model/adapter.ts";
import { compareStored, readDifference, readStored } from "./difference.ts";
import { layerOf } from "./layers.ts";
import { readModel, type ShardedModel } from "./model.ts";
import { type LayerChoice, type Plan, type PlannedModule, type PlannedRest, planExtraction } from "./plan.ts";
import { type ExtractReport, type Rest, type Result, refuseNothing, shares } from "./report.ts";

export type { ExtractedModule, ExtractReport, RestTensor } from "./report.ts";

/** How to extract. */
export interface ExtractOptions extends LayerChoice {
  /** Largest rank of a module, 1 to 4096. Default 32. */
  readonly rank?: number | undefined;
  /** Give each module the smallest rank that holds this share (above 0, at most 1) of its ‖ΔW‖², `rank` at most. */
  readonly energy?: number | undefined;
  /** Recorded as the base model's name. */
  readonly baseModel?: string | undefined;
  /** Called before each tensor. */
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An extracted adapter, and what the extraction found and lost. */
export interface Extracted {
  readonly adapter: Adapter;
  readonly report: ExtractReport;
}

/** How long to compute before timers, abort signals and progress lines get their turn. */
const PAUSE_MS = 50;

/**
 * Extracts an adapter: `W_base + B · A ≈ W_tuned`, with multiplier 1 and alpha equal to the rank.
 *
 * For each module B · A is ΔW projected onto its strongest singular directions (`linalg/randomized-svd.ts`); both factors
 * carry the square root of the singular values. Memory: 4 bytes for each weight of the largest tensor, 8 bytes for each
 * of `(3 · rank + 48) · (out + in)`, and the adapter itself.
 *
 * @param base the model the fine-tuning started from: one safetensors file, or shards
 * @param tuned the model after it; the two may differ in element types and shards
 * @throws LqaError MODELS_DIFFER, NOTHING_TO_EXTRACT, SOURCE_NONFINITE, SOURCE_RANGE, SOURCE_ELEMENT_TYPE; SOURCE_HEADER,
 * TRUNCATED_SOURCE, SOURCE_SHARDS and NOT_FOUND for broken models; BUDGET if the memory does not suffice for a tensor;
 * NAME_ENCODING, HARD_LIMIT; USAGE for a rank or share out of range; IO, ABORTED
 */
export async function extractAdapter(
  base: ByteSource | ShardedModel,
  tuned: ByteSource | ShardedModel,
  options: ExtractOptions = {},
): Promise<Extracted> {
  const { rank = 32, energy, signal } = options;
  checkExtractOptions(options);
  const pause = pauses(signal);
  const before = await readModel(base, "base model", signal);
  const after = await readModel(tuned, "tuned model", signal);
  const plan = planExtraction(before, after, options);
  const total = plan.modules.length + plan.rest.length;
  const results: Result[] = [];
  let unchanged = 0;
  for (const [i, module] of plan.modules.entries()) {
    options.onProgress?.(i, total, module.name);
    const result = await extractModule(module, rank, energy, pause, signal);
    if (result === undefined) unchanged += 1;
    else results.push(result);
  }
  const rest: Rest[] = [];
  const extracted = new Set(results.map(({ module }) => module.name));
  for (const [i, tensor] of plan.rest.entries()) {
    options.onProgress?.(plan.modules.length + i, total, tensor.name);
    const result = await handleRest(tensor, plan, extracted, options.keepRest === true, pause, signal);
    if (result === undefined) unchanged += 1;
    else rest.push(result);
  }
  options.onProgress?.(total, total, "");
  const kept = rest.flatMap(({ tensor }) => (tensor === undefined ? [] : [tensor]));
  if (results.length === 0) refuseNothing(plan, rest);
  const meta: { [key: string]: MetaValue } = { source: "difference of two models" };
  if (options.baseModel !== undefined) meta.base_model = options.baseModel;
  return {
    adapter: { modules: results.map(({ module }) => module), tensors: kept, origin: undefined, meta },
    report: {
      rank,
      energy: energy ?? null,
      fanInFanOut: plan.fanInFanOut,
      ...shares(results, rest),
      modules: results.map(({ report }) => report),
      parameters: results.reduce((sum, { module }) => sum + parameterCount(module), 0),
      rest: rest.map(({ report }) => report),
      unchanged,
      filtered: plan.filtered,
      onlyInBase: plan.onlyInBase,
    },
  };
}

/**
 * Refuses options that {@link extractAdapter} would refuse, before anything is opened.
 *
 * @throws LqaError USAGE
 */
export function checkExtractOptions({ rank = 32, energy }: Pick<ExtractOptions, "rank" | "energy">): void {
  if (!Number.isInteger(rank) || rank < 1 || rank > RANK.hard) {
    fail(KIND.USAGE, { where: "rank", expected: `a whole number from 1 to ${RANK.hard}`, actual: rank });
  }
  if (energy !== undefined && !(energy > 0 && energy <= 1)) {
    fail(KIND.USAGE, { where: "energy", expected: "a share above 0 and at most 1", actual: energy });
  }
}

/** Extracts a module from its two weights; undefined if they are the same. */
async function extractModule(
  planned: PlannedModule,
  rank: number,
  share: number | undefined,
  pause: () => Promise<void>,
  signal?: AbortSignal,
): Promise<Result | undefined> {
  const { name, role, rows, columns, base, tuned } = planned;
  const difference = allocate(rows * columns, name);
  const { energy, baseEnergy } = await readDifference(base, tuned, difference, pause, signal);
  const steps = truncatedSvdSteps(difference, rows, columns, { rank, energy: share });
  let step = steps.next();
  while (!step.done) {
    await pause();
    step = steps.next();
  }
  const svd = step.value;
  // Zero, or so small that the squares of all differences vanish.
  if (svd.k === 0) return undefined;
  return {
    module: buildModule(planned, svd),
    energy,
    captured: svd.captured,
    report: {
      name,
      role,
      shape: tuned.shape,
      rank: svd.k,
      share: svd.captured / svd.energy,
      norm: Math.sqrt(energy),
      relativeNorm: baseEnergy > 0 ? Math.sqrt(energy / baseEnergy) : null,
      largest: svd.s[0]!,
    },
  };
}

function buildModule(planned: PlannedModule, svd: TruncatedSvd): LoraModule {
  const { name, role, rows, columns, kernel, transposed } = planned;
  const { k, u, v, s } = svd;
  const roots = s.map((value) => Math.sqrt(value));
  // B has a row for each output, A for each component. If the weight is stored (in, out), its rows are the inputs.
  const [outs, out] = transposed ? [v, columns] : [u, rows];
  const [ins, width] = transposed ? [u, rows] : [v, columns];
  const b = new Float32Array(out * k);
  const a = new Float32Array(k * width);
  for (let i = 0; i < k; i++) {
    for (let j = 0; j < out; j++) b[j * k + i] = outs[i * out + j]! * roots[i]!;
    for (let j = 0; j < width; j++) a[i * width + j] = ins[i * width + j]! * roots[i]!;
  }
  return {
    name,
    role,
    out,
    in: kernel.reduce((size, factor) => size / factor, width),
    kernel,
    experts: 1,
    rank: k,
    baseLayout: transposed ? "in-out" : "out-in",
    // Alpha equals the rank, so loaders that compute alpha / r get multiplier 1, too.
    multiplier: 1,
    alpha: k,
    rule: "alpha/r",
    b,
    a,
  };
}

/** Compares a tensor that becomes no module, and reads it if the adapter keeps it; undefined if it did not change. */
async function handleRest(
  { name, reason, base, tuned }: PlannedRest,
  plan: Plan,
  extracted: ReadonlySet<string>,
  keep: boolean,
  pause: () => Promise<void>,
  signal?: AbortSignal,
): Promise<Rest | undefined> {
  const { changed, energy } =
    base === undefined ? { changed: true, energy: null } : await compareStored(base, tuned, pause, signal);
  if (!changed) return undefined;
  const role = keep ? roleOfRest(name, tuned.shape, plan, extracted) : undefined;
  const { element, shape } = tuned;
  const norm = energy === null ? null : Math.sqrt(energy);
  return {
    report: { name, element, shape, reason, norm, kept: role !== undefined },
    tensor:
      role === undefined
        ? undefined
        : { name, role, element, shape, axis: 0, data: await readStored(tuned, signal) },
    energy: energy ?? 0,
  };
}

/** The role in which an adapter can keep a tensor whole; undefined if there is none. */
function roleOfRest(
  name: string,
  shape: readonly number[],
  plan: Plan,
  extracted: ReadonlySet<string>,
): "replace" | "bias" | undefined {
  const layer = layerOf(name);
  // A loader replaces whole layers, so a parameter next to layers would replace those too.
  if (layer === "" || plan.containers.has(layer)) return undefined;
  if (!extracted.has(layer)) return "replace";
  return name.endsWith(".bias") && shape.length === 1 ? "bias" : undefined;
}

function allocate(length: number, name: string): Float32Array {
  try {
    return new Float32Array(length);
  } catch (cause) {
    return fail(KIND.BUDGET, {
      where: `module ${quoteName(name)}`,
      actual: `${4 * length} bytes to allocate`,
      advice: "Leave the layer out with --exclude.",
      cause,
    });
  }
}

/** Lets the event loop run now and then, and stops if the caller aborted. */
function pauses(signal: AbortSignal | undefined): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last > PAUSE_MS) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      last = performance.now();
    }
    assertNotAborted(signal);
  };
}
