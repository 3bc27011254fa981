/**
 * Quantizes all modules of an adapter with any profile: one module at a time, or all of them against each other.
 *
 * @module
 */
import type { ModuleStart } from "../../core/index.ts";
import { inputLength, type LoraModule, parameterCount } from "../../model/adapter.ts";
import type { Calibration } from "../../model/calibration.ts";
import type { ParentFactors } from "./parent/align.ts";
import { QUALITY_BITS, type QuantizedModule, type QuantizeSettings } from "./profile.ts";
import { quantizeRd, type RdGoal, type RdSurroundings } from "./rd/rd.ts";

/** What the caller provides. */
export interface Surroundings extends RdSurroundings {
  /** Bytes of plain tensors in the file. A goal in bits per weight does not count them. */
  readonly tensorBytes: number;
}

/**
 * Quantizes modules.
 *
 * @param modules in the order of the file
 * @param settings as returned by `resolveOptions`
 * @param calibration moments add `outputError` to the quality of their modules; `rd` uses the rest
 * @throws LqaError as `quantizeModule` and `quantizeRd`, and what `surroundings.progress` throws; RangeError for
 *   moments of a wrong length
 */
export async function quantizeAdapter(
  modules: readonly LoraModule[],
  settings: QuantizeSettings,
  surroundings: Surroundings,
  calibration: Omit<Calibration, "source"> = { moments: new Map() },
  starts: ReadonlyMap<string, ModuleStart> = new Map(),
  parents: ReadonlyMap<string, ParentFactors> = new Map(),
): Promise<QuantizedModule[]> {
  const { moments } = calibration;
  for (const module of modules) checkMoments(module, moments);
  if (settings.profile === "rd") {
    const goal = rdGoal(modules, settings, surroundings);
    const { floor, fit, weighted = false } = settings;
    return quantizeRd(modules, { goal, floor, fit, calibration, weighted, starts, parents }, surroundings);
  }
  let done = 0;
  return surroundings.executor.run(
    "quantize",
    modules.map((module) => ({ module, options: settings, moments: moments.get(module.name) })),
    (name) => surroundings.progress(++done, modules.length, `coding ${name}`),
  );
}

function rdGoal(
  modules: readonly LoraModule[],
  settings: Extract<QuantizeSettings, { profile: "rd" }>,
  surroundings: Surroundings,
): RdGoal {
  if (settings.maxError !== undefined) return { maxError: settings.maxError };
  if (settings.maxBytes !== undefined) return { maxBytes: settings.maxBytes };
  if (settings.quality !== undefined) return { moduleBits: QUALITY_BITS[settings.quality] };
  const parameters = modules.reduce((sum, module) => sum + parameterCount(module), 0);
  return { maxBytes: surroundings.tensorBytes + Math.floor((settings.bits * parameters) / 8) };
}

function checkMoments(module: LoraModule, moments: Calibration["moments"]): void {
  const length = module.experts * inputLength(module);
  const found = moments.get(module.name)?.length ?? length;
  if (found !== length)
    throw new RangeError(`Module "${module.name}" has ${length} inputs, but ${found} moments were given.`);
}
