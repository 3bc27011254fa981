/**
 * The `raw` profile: the original factors, unquantized (spec clause 8.3).
 *
 * No reparameterization: B is only reordered to component-major. With the element type of the source, or
 * f32, the decoded factors and ΔW have the same bits; a narrower type rounds each weight once to nearest even.
 *
 * @module
 */
import type { FloatType, PackedFactors } from "../../core/index.ts";

import { inputLength, type LoraModule } from "../../model/adapter.ts";
import { CODERS } from "./coders.ts";

/**
 * Stores a module's factors in one band. Weights must be finite.
 *
 * @throws LqaError SOURCE_RANGE if a weight overflows the element type
 */
export function rawFactors(module: LoraModule, element: FloatType): PackedFactors {
  const { experts, out, rank, name } = module;
  const n = inputLength(module);
  const stored = Array.from({ length: experts }, (_, e) => e);
  const b = CODERS.raw(
    stored.map((e) => ({
      ...{ values: module.b, components: rank, length: out },
      ...{ offset: e * out * rank, componentStride: 1, weightStride: rank },
    })),
    element,
    `module "${name}", factor B`,
  );
  const a = CODERS.raw(
    stored.map((e) => ({
      ...{ values: module.a, components: rank, length: n },
      ...{ offset: e * rank * n, componentStride: n, weightStride: 1 },
    })),
    element,
    `module "${name}", factor A`,
  );
  return {
    bands: [{ components: rank, b: b.encoding, a: a.encoding }],
    planes: stored.map((e) => [{ b: b.planes[e]!, a: a.planes[e]! }]),
  };
}
