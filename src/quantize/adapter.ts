/**
 * All modules of an adapter, in whichever profile: one module at a time, or all of them against each other.
 *
 * @module
 */
import { type LoraModule, parameterCount } from "../model/adapter.ts";
import { checkModule, type QuantizedModule, type QuantizeOptions, quantizeModule } from "./profile.ts";
import { quantizeRd, type RdGoal, type RdSurroundings } from "./rd/rd.ts";

/** What the encoder's surroundings provide. */
export interface Surroundings extends RdSurroundings {
  /** Bytes of the file that belong to plain tensors: not counted against a goal in bits a weight. */
  readonly tensorBytes: number;
}

/**
 * Quantizes modules.
 *
 * @param modules in the order of the file
 * @param options resolved (`resolveOptions`)
 * @throws LqaError as `quantizeModule` and `quantizeRd`, and whatever `surroundings.progress` throws
 */
export async function quantizeAdapter(
  modules: readonly LoraModule[],
  options: QuantizeOptions,
  surroundings: Surroundings,
): Promise<QuantizedModule[]> {
  if (options.profile === "rd") {
    for (const module of modules) checkModule(module);
    return quantizeRd(
      modules,
      { goal: rdGoal(modules, options, surroundings), floor: options.floor! },
      surroundings,
    );
  }
  const quantized: QuantizedModule[] = [];
  for (const [i, module] of modules.entries()) {
    quantized.push(quantizeModule(module, options));
    await surroundings.progress(i + 1, modules.length, module.name);
  }
  return quantized;
}

/** Bits a weight of the modules if no goal is given; a small adapter's index does not count against it. */
const DEFAULT_BITS = 1.5;

function rdGoal(
  modules: readonly LoraModule[],
  options: QuantizeOptions,
  surroundings: Surroundings,
): RdGoal {
  if (options.maxError !== undefined) return { maxError: options.maxError };
  if (options.maxBytes !== undefined) return { maxBytes: options.maxBytes };
  if (options.bits === undefined) return { moduleBits: DEFAULT_BITS };
  const parameters = modules.reduce((sum, module) => sum + parameterCount(module), 0);
  return { maxBytes: surroundings.tensorBytes + Math.floor((options.bits * parameters) / 8) };
}
