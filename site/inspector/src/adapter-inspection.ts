/**
 * What the inspector shows of an adapter that is not encoded yet: its modules, the
 * singular values of each, its plain tensors.
 *
 * @module
 */
import { paced } from "../../../src/encode/encode.ts";
import { isLqaError } from "../../../src/errors.ts";
import {
  type Adapter,
  type LoraModule,
  type ModuleShape,
  parameterCount,
  shapeOf,
  withFactors,
} from "../../../src/model/adapter.ts";
import type { InspectOptions } from "../../../src/report/inspection.ts";
import { type LayerPlace, layerPlaces } from "../../../src/report/layers.ts";
import { finite, spectrum } from "../../../src/report/spectrum.ts";

/** One module. */
export interface AdapterModule extends ModuleShape, LayerPlace {
  readonly parameters: number;
  /** Of ΔW, largest first, `[rank]`; undefined where they were not asked for, or {@link problem} says why. */
  readonly singularValues: Float64Array | undefined;
  readonly problem: string | undefined;
  readonly loss: undefined;
}

/** What {@link inspectAdapter} found. */
export interface AdapterInspection {
  readonly adapter: Adapter;
  readonly modules: readonly AdapterModule[];
}

/**
 * Looks into an adapter, module by module.
 *
 * @param options without `weights` the factors are not asked for
 * @throws LqaError ABORTED; of class X what reading the source throws
 */
export async function inspectAdapter(
  adapter: Adapter,
  options: Pick<InspectOptions, "weights" | "onProgress" | "signal"> = {},
): Promise<AdapterInspection> {
  const places = layerPlaces(adapter.modules.map(({ name }) => name));
  const progress = paced({
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const modules: AdapterModule[] = [];
  for (const [i, module] of adapter.modules.entries()) {
    await progress(i, adapter.modules.length, module.name);
    modules.push({
      ...shapeOf(module),
      ...places[i]!,
      parameters: parameterCount(module),
      singularValues: undefined,
      problem: undefined,
      loss: undefined,
      ...(options.weights === false ? {} : lookInto(module)),
    });
  }
  return { adapter, modules };
}

function lookInto(module: LoraModule): Partial<AdapterModule> {
  try {
    const own = withFactors(module);
    return finite(own) ? { singularValues: spectrum(own) } : { problem: "has weights that are not finite" };
  } catch (error) {
    if (!isLqaError(error) || error.class === "X") throw error;
    return { problem: error.message };
  }
}
